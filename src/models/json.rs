//! Reads the JSON of the description files of a model like Python: the last of two equal keys counts, and `224.0` is a
//! whole number.

use serde_json::{Map, Value};

use super::lfs_pointer;

/// Maximum characters of a value in an error.
const MAX_QUOTED_CHARS: usize = 80;
/// Larger whole numbers are not exact as floats.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Parses a JSON object.
pub(crate) fn object(json: &[u8]) -> Result<Map<String, Value>, String> {
    lfs_pointer::refuse(json)?;
    match serde_json::from_slice(json).map_err(|error| format!("it is not valid JSON: {error}"))? {
        Value::Object(object) => Ok(object),
        other => Err(format!("it is {}; it must be a JSON object", quoted(&other))),
    }
}

/// Returns the value of `key`; `null` counts as absent.
pub(crate) fn given<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

/// Returns a whole number, even if it is written as a float.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..MAX_EXACT).contains(number));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and in range")]
    value.as_u64().or_else(|| float().map(|number| number as u64))
}

/// Returns the whole number of `key`.
///
/// # Errors
/// A message with the key and its value if the value is not a whole number.
pub(crate) fn whole_number(object: &Map<String, Value>, key: &str) -> Result<Option<u64>, String> {
    let wrong = |value: &Value| format!("{key} is {}; it must be a whole number", quoted(value));
    given(object, key).map(|value| whole(value).ok_or_else(|| wrong(value))).transpose()
}

/// Formats a value for an error, shortened if it is long.
pub(crate) fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_and_floats_are_accepted() {
        let read = object(b"{\"a\":1,\"a\":224.0,\"b\":null,\"c\":-1,\"d\":2.5}").unwrap();
        assert_eq!(whole_number(&read, "a"), Ok(Some(224)));
        assert_eq!(whole_number(&read, "b"), Ok(None));
        assert_eq!(whole_number(&read, "absent"), Ok(None));
        assert_eq!(whole_number(&read, "c"), Err("c is -1; it must be a whole number".to_owned()));
        assert!(whole_number(&read, "d").is_err());
    }

    #[test]
    fn only_an_object_is_accepted_and_long_values_are_cut() {
        assert!(object(b"<html>").unwrap_err().contains("not valid JSON"));
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
        assert!(object(pointer).unwrap_err().contains("git lfs pull"));
        assert!(object(b"[1]").unwrap_err().contains("must be a JSON object"));
        let long = object(format!("\"{}\"", "x".repeat(1000)).as_bytes()).unwrap_err();
        assert!(long.len() < 200, "{long}");
    }
}
