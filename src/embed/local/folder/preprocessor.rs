//! Finds the values of the image processor: in `preprocessor_config.json`, or since transformers 5 in the object
//! `image_processor` of `processor_config.json`. If both exist, the object counts, as in transformers.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use super::json::{given, object};
use super::pixels::Pixels;
use super::read_json;

/// File of transformers 4.
pub(super) const OLD_FILE: &str = "preprocessor_config.json";
const NEW_FILE: &str = "processor_config.json";
const NESTED_KEY: &str = "image_processor";
/// The files in order of precedence.
pub(super) const FILES: [&str; 2] = [NEW_FILE, OLD_FILE];

/// Reads the pixel values of the model in `folder`; `files` are the existing files of [`FILES`].
///
/// # Errors
/// A message that begins with the name of the file.
pub(super) fn pixels(folder: &Path, files: &[String]) -> Result<Pixels, String> {
    for file in files {
        let named = |reason: String| format!("{file}: {reason}");
        let json = read_json(&folder.join(file)).map_err(|error| named(error.to_string()))?;
        if let Some(values) = values(file, &json).map_err(named)? {
            return Pixels::read(&values).map_err(named);
        }
    }
    Err(format!("{NEW_FILE} has no object {NESTED_KEY}, and there is no {OLD_FILE}"))
}

/// Whether none of the existing files has the values: `processor_config.json` had other values before transformers 5.
pub(super) fn lacks_values(folder: &Path, files: &[String]) -> bool {
    let read = |file: &String| -> io::Result<bool> {
        Ok(values(file, &read_json(&folder.join(file))?).is_ok_and(|values| values.is_none()))
    };
    files.iter().all(|file| read(file).is_ok_and(|lacks| lacks))
}

fn values(file: &str, json: &[u8]) -> Result<Option<Map<String, Value>>, String> {
    let mut values = object(json)?;
    if file != NEW_FILE {
        return Ok(Some(values));
    }
    if given(&values, NESTED_KEY).is_none() {
        return Ok(None);
    }
    match values.remove(NESTED_KEY) {
        Some(Value::Object(nested)) => Ok(Some(nested)),
        Some(_) | None => Err(format!("{NESTED_KEY} must be a JSON object")),
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
        let files = FILES.iter().filter(|name| folder.path().join(name).is_file());
        let files: Vec<_> = files.map(|name| (*name).to_owned()).collect();
        let only_new = files.len() == 1 && files[0] == NEW_FILE;
        let found = pixels(folder.path(), &files).map(|pixels| pixels.size);
        let lacks = found.as_ref().is_err_and(|error| error.contains("no object"));
        assert_eq!(lacks_values(folder.path(), &files), lacks && only_new);
        found
    }

    #[test]
    fn nested_values_override_the_older_file() {
        let (nested, old) = (r#"{"image_processor":{"size":336}}"#, r#"{"size":224}"#);
        assert_eq!(size(&[(NEW_FILE, nested)]), Ok(336));
        assert_eq!(size(&[(NEW_FILE, nested), (OLD_FILE, old)]), Ok(336));
        for without in [r#"{"processor_class":"CLIPProcessor"}"#, r#"{"image_processor":null}"#] {
            assert_eq!(size(&[(NEW_FILE, without), (OLD_FILE, old)]), Ok(224));
            let error = size(&[(NEW_FILE, without)]).unwrap_err();
            assert!(error.contains("no object image_processor") && error.contains(OLD_FILE), "{error}");
        }
    }

    #[test]
    fn an_error_names_its_file() {
        let error = size(&[(NEW_FILE, r#"{"image_processor":{"resample":2}}"#)]).unwrap_err();
        assert!(error.starts_with("processor_config.json: resample is 2"), "{error}");
        assert!(size(&[(NEW_FILE, r#"{"image_processor":"CLIP"}"#)]).unwrap_err().contains("must be a JSON object"));
        assert!(
            size(&[(OLD_FILE, "<html>")]).unwrap_err().starts_with("preprocessor_config.json: it is not valid JSON")
        );
    }
}
