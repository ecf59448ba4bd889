//! Where the image processor's values are: `preprocessor_config.json`, or since transformers 5 the object
//! `image_processor` in `processor_config.json`. If both are there, the object counts, as it does for transformers.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::json::{given, object};
use super::pixels::Pixels;
use super::read_json;

/// The layout of transformers 4.
pub(super) const OLD: &str = "preprocessor_config.json";
const NEW: &str = "processor_config.json";
const NESTED: &str = "image_processor";
/// The file that counts first.
pub(super) const FILES: [&str; 2] = [NEW, OLD];

/// The pixel rules of the model in `folder`; `files` are those of [`FILES`] that are there.
///
/// # Errors
/// A sentence that begins with the file's name.
pub(super) fn pixels(folder: &Path, files: &[String]) -> Result<Pixels, String> {
    for file in files {
        let named = |reason: String| format!("{file}: {reason}");
        let json = read_json(&folder.join(file)).map_err(|error| named(error.to_string()))?;
        if let Some(values) = values(file, &json).map_err(named)? {
            return Pixels::read(&values).map_err(named);
        }
    }
    Err(format!("{NEW} has no object {NESTED}, and there is no {OLD}"))
}

/// Whether the only file that is there is one without the values: `processor_config.json` had others before
/// transformers 5.
pub(super) fn is_elsewhere(folder: &Path, files: &[String]) -> bool {
    let read = |file: &String| -> io::Result<bool> {
        Ok(values(file, &read_json(&folder.join(file))?).is_ok_and(|values| values.is_none()))
    };
    files.iter().all(|file| read(file).is_ok_and(|lacks| lacks))
}

fn values(file: &str, json: &[u8]) -> Result<Option<Map<String, Value>>, String> {
    let mut values = object(json)?;
    if file != NEW {
        return Ok(Some(values));
    }
    if given(&values, NESTED).is_none() {
        return Ok(None);
    }
    match values.remove(NESTED) {
        Some(Value::Object(nested)) => Ok(Some(nested)),
        Some(_) | None => Err(format!("{NESTED} must be a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(files: &[(&str, &str)]) -> Result<u32, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, json) in files {
            std::fs::write(folder.path().join(name), json).unwrap();
        }
        let there = FILES.iter().filter(|name| folder.path().join(name).is_file());
        let there: Vec<_> = there.map(|name| (*name).to_owned()).collect();
        let only_new = there.len() == 1 && there[0] == NEW;
        let found = pixels(folder.path(), &there).map(|pixels| pixels.size);
        let lacks = found.as_ref().is_err_and(|said| said.contains("no object"));
        assert_eq!(is_elsewhere(folder.path(), &there), lacks && only_new);
        found
    }

    #[test]
    fn nested_values_count_before_the_older_file() {
        let (nested, old) = (r#"{"image_processor":{"size":336}}"#, r#"{"size":224}"#);
        assert_eq!(size(&[(NEW, nested)]), Ok(336));
        assert_eq!(size(&[(NEW, nested), (OLD, old)]), Ok(336));
        for without in [r#"{"processor_class":"CLIPProcessor"}"#, r#"{"image_processor":null}"#] {
            assert_eq!(size(&[(NEW, without), (OLD, old)]), Ok(224));
            let said = size(&[(NEW, without)]).unwrap_err();
            assert!(said.contains("no object image_processor") && said.contains(OLD), "{said}");
        }
    }

    #[test]
    fn the_file_with_the_fault_is_named() {
        let said = size(&[(NEW, r#"{"image_processor":{"resample":2}}"#)]).unwrap_err();
        assert!(said.starts_with("processor_config.json: resample is 2"), "{said}");
        assert!(size(&[(NEW, r#"{"image_processor":"CLIP"}"#)]).unwrap_err().contains("must be a JSON object"));
        assert!(size(&[(OLD, "<html>")]).unwrap_err().starts_with("preprocessor_config.json: it is not valid JSON"));
    }
}
