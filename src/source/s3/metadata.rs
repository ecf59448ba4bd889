//! User metadata as S3 headers. A header's value is printable ASCII, so anything else travels as RFC 2047
//! encoded words (`=?UTF-8?B?…?=`), as Amazon's own service documents it, and is decoded when it comes back.
//! Names are lower-cased, as every S3 service does; what a header's name cannot hold becomes `-`.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const OPEN: &str = "=?UTF-8?B?";
const CLOSE: &str = "?=";
/// Bytes to an encoded word: no word may be longer than 75 characters.
const WORD: usize = 45;

/// What is sent.
pub(super) fn to_headers(metadata: &BTreeMap<String, String>) -> HashMap<String, String> {
    metadata.iter().map(|(name, value)| (header_name(name), encode(value))).collect()
}

/// What came back.
pub(super) fn from_headers(headers: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    headers.into_iter().flatten().map(|(name, value)| (name.to_lowercase(), decode(value))).collect()
}

fn header_name(name: &str) -> String {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    name.chars().map(|c| if token(c) { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn encode(value: &str) -> String {
    // Spaces at the ends would be cut off on the way; what looks encoded would be decoded.
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim() == value;
    if plain && !value.contains("=?") {
        return value.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (word, left) = rest.split_at(rest.floor_char_boundary(WORD));
        words.push(format!("{OPEN}{}{CLOSE}", STANDARD.encode(word)));
        rest = left;
    }
    words.join(" ")
}

/// Decodes a value that is encoded words throughout; leaves every other as it is.
fn decode(value: &str) -> String {
    let words: Option<Vec<u8>> =
        value.split_ascii_whitespace().map(decode_word).collect::<Option<Vec<_>>>().map(|words| words.concat());
    match words.map(String::from_utf8) {
        Some(Ok(text)) if !value.is_empty() => text,
        _ => value.to_owned(),
    }
}

fn decode_word(word: &str) -> Option<Vec<u8>> {
    let inner = word.strip_prefix("=?")?.strip_suffix(CLOSE)?;
    let (charset, rest) = inner.split_once('?')?;
    let (encoding, text) = rest.split_once('?')?;
    match encoding {
        _ if !charset.eq_ignore_ascii_case("utf-8") => None,
        "B" | "b" => STANDARD.decode(text).ok(),
        "Q" | "q" => {
            let text = text.replace('_', " ").replace('%', "%25").replace('=', "%");
            Some(percent_encoding::percent_decode_str(&text).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_comes_back_as_it_was() {
        let long = "日本語のとても長い説明。".repeat(20);
        for value in ["", "plain", "a=b; c", "Zürich", " ends ", "line\nbreak", "=?UTF-8?B?eA==?=", "50% =?", &long] {
            let sent = encode(value);
            assert!(sent.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{sent}");
            assert!(sent.split(' ').all(|word| !word.starts_with("=?") || word.len() <= 75), "{sent}");
            assert_eq!(decode(&sent), value);
        }
        assert_eq!(encode("plain text"), "plain text");
    }

    #[test]
    fn words_of_other_services_are_read_too() {
        assert_eq!(decode("=?utf-8?q?Z=C3=BCrich_50%?="), "Zürich 50%");
        assert_eq!(decode("=?ISO-8859-1?Q?Z=FCrich?="), "=?ISO-8859-1?Q?Z=FCrich?=", "left as it is");
        assert_eq!(decode("not =?UTF-8?B?eA==?= throughout"), "not =?UTF-8?B?eA==?= throughout");
    }

    #[test]
    fn names_are_what_a_header_can_hold() {
        let metadata = BTreeMap::from([("Photo Grapher".to_owned(), "x".to_owned())]);
        assert_eq!(to_headers(&metadata).into_keys().collect::<Vec<_>>(), ["photo-grapher"]);
    }
}
