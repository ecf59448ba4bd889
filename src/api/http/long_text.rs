//! Finds texts and names in JSON that are too long, before they are copied or compared.

use memchr::{memchr, memchr2};

/// Maximum bytes of a text or a name in a JSON body: the longest search text, with an escape of twelve bytes for each
/// character (`\ud83d\ude00`), and spaces around it.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// The fields that can have longer texts: files in base64.
const FILE_FIELDS: [&[u8]; 2] = [b"image", b"input"];
/// Maximum bytes of a name in a message.
const MAX_SHOWN_BYTES: usize = 100;

/// Returns what is wrong with the first text or name that is too long. Invalid JSON is left to the parser.
pub(super) fn find_long_text(json: &[u8]) -> Option<String> {
    let (mut rest, mut field) = (json, &b""[..]);
    // Outside of texts, JSON has no quotes.
    while let Some(begin) = memchr(b'"', rest) {
        let (text, after) = split_text(&rest[begin + 1..])?;
        let is_name = after.trim_ascii_start().starts_with(b":");
        if text.len() > MAX_TEXT_BYTES && (is_name || !FILE_FIELDS.contains(&field)) {
            let bytes = text.len();
            let shown = |name: &[u8]| String::from_utf8_lossy(&name[..name.len().min(MAX_SHOWN_BYTES)]).into_owned();
            return Some(if is_name {
                let name = shown(text);
                format!("the name of a field has {bytes} bytes, at most {MAX_TEXT_BYTES} are allowed: `{name}…`")
            } else {
                format!("{}: a text must have at most {MAX_TEXT_BYTES} bytes, not {bytes}", shown(field))
            });
        }
        if is_name {
            field = text;
        }
        rest = after;
    }
    None
}

/// Splits the rest of a body into a text and what follows its closing quote.
fn split_text(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', rest.get(end..)?)?;
        if rest[end] == b'"' {
            return Some((&rest[..end], &rest[end + 1..]));
        }
        end += 2;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_files_can_be_long() {
        let (long, longest) = ("a".repeat(MAX_TEXT_BYTES + 1), "a".repeat(MAX_TEXT_BYTES));
        let find = |json: &serde_json::Value| find_long_text(json.to_string().as_bytes());
        let files = json!({"positive": [{"image": long}, {"text": longest}], "negative": [{"image": long}]});
        assert_eq!(find(&files), None);
        let text = find(&json!({"positive": [{"image": long}, {"text": "\\\"", "id": long}]})).unwrap();
        assert_eq!(text, "id: a text must have at most 16384 bytes, not 16385");
        assert!(find(&json!({"meta": {"a": ["b", long]}})).unwrap().starts_with("a: "));
        let name = find(&json!({"image": {long: 1}})).unwrap();
        assert!(name.starts_with("the name of a field has 16385 bytes") && name.len() < 200, "{name}");
        for invalid in ["\"", "\"\\", "{\"a\": \"\\\"", "[", ""] {
            assert_eq!(find_long_text(invalid.as_bytes()), None);
        }
    }
}
