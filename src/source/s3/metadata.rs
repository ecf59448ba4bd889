//! User metadata as S3 headers. The value of a header is printable ASCII, so other text is sent as RFC 2047 encoded
//! words (`=?UTF-8?B?…?=`), as documented for Amazon S3, and decoded when it is read. Names are lower-case, as in every
//! S3 service; characters that are not allowed in the name of a header become `-`.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const OPEN: &str = "=?UTF-8?B?";
const CLOSE: &str = "?=";
/// Prefix of the headers of user metadata.
pub(super) const PREFIX: &str = "x-amz-meta-";
/// Maximum number of names of one object, and maximum number of bytes of a name and of a value. Amazon S3 allows 2 KB
/// in total; other services do not document a limit, and records contain this data.
const MAX_NAMES: usize = 64;
const MAX_NAME_BYTES: usize = 128;
const MAX_VALUE_BYTES: usize = 2_048;
/// Maximum number of bytes in an encoded word, which must not be longer than 75 characters.
const MAX_WORD_BYTES: usize = 45;

/// Returns the metadata as headers.
pub(super) fn to_headers(metadata: &BTreeMap<String, String>) -> HashMap<String, String> {
    metadata.iter().map(|(name, value)| (header_name(name), encode(value))).collect()
}

/// Reads the metadata from headers, within limits: a value that is too long is truncated, an entry whose name is too
/// long is ignored.
pub(super) fn from_headers(headers: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    let fits = |name: &str| !name.is_empty() && name.len() <= MAX_NAME_BYTES;
    let all = headers.into_iter().flatten().filter(|(name, _)| fits(name));
    // Sorted by name, so that the selection is always the same.
    let all: BTreeMap<String, &String> = all.map(|(name, value)| (name.to_lowercase(), value)).collect();
    all.into_iter().take(MAX_NAMES).map(|(name, value)| (name, cut(decode(value)))).collect()
}

fn cut(mut value: String) -> String {
    value.truncate(value.floor_char_boundary(MAX_VALUE_BYTES));
    value
}

fn header_name(name: &str) -> String {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    name.chars().map(|c| if token(c) { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn encode(value: &str) -> String {
    // Spaces at the ends would be removed, and a value that looks encoded would be decoded.
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && value.trim() == value;
    if plain && !value.contains("=?") {
        return value.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let (word, left) = rest.split_at(rest.floor_char_boundary(MAX_WORD_BYTES));
        words.push(format!("{OPEN}{}{CLOSE}", STANDARD.encode(word)));
        rest = left;
    }
    words.join(" ")
}

/// Decodes a value that consists only of encoded words. Returns any other value unchanged.
fn decode(value: &str) -> String {
    let words: Option<Vec<_>> = value.split_ascii_whitespace().map(decode_word).collect();
    let Some(words) = words.filter(|words| !words.is_empty()) else { return value.to_owned() };
    // A UTF-8 character can be split between two words.
    let (mut text, mut utf8) = (String::new(), Vec::new());
    for (charset, bytes) in words {
        match charset {
            Charset::Utf8 => utf8.extend(bytes),
            Charset::Latin1 => {
                let Ok(before) = String::from_utf8(std::mem::take(&mut utf8)) else { return value.to_owned() };
                text.push_str(&before);
                text.extend(bytes.into_iter().map(char::from));
            }
        }
    }
    match String::from_utf8(utf8) {
        Ok(rest) => text + &rest,
        Err(_) => value.to_owned(),
    }
}

/// The supported character sets.
#[derive(Clone, Copy)]
enum Charset {
    Utf8,
    Latin1,
}

fn decode_word(word: &str) -> Option<(Charset, Vec<u8>)> {
    let inner = word.strip_prefix("=?")?.strip_suffix(CLOSE)?;
    let (charset, rest) = inner.split_once('?')?;
    let (encoding, text) = rest.split_once('?')?;
    // RFC 2231 allows a language after the name of the character set.
    let charset = match charset.split('*').next()?.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" => Charset::Utf8,
        "iso-8859-1" | "latin1" => Charset::Latin1,
        _ => return None,
    };
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(text).ok(),
        "Q" | "q" => {
            let text = text.replace('_', " ").replace('%', "%25").replace('=', "%");
            Some(percent_encoding::percent_decode_str(&text).collect())
        }
        _ => None,
    };
    Some((charset, bytes?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_can_be_encoded_and_decoded() {
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
    fn encoded_words_of_other_services_are_decoded() {
        assert_eq!(decode("=?utf-8?q?Z=C3=BCrich_50%?="), "Zürich 50%");
        assert_eq!(decode("=?ISO-8859-1?Q?Z=FCrich?= =?UTF-8*de?B?w7w=?="), "Zürichü");
        for left in ["=?KOI8-R?B?8A==?=", "=?UTF-8?B?!?=", "=?UTF-8?Q?Z=FCrich?=", "=?UTF-8?X?a?="] {
            assert_eq!(decode(left), left, "left as it is");
        }
        assert_eq!(decode("not =?UTF-8?B?eA==?= throughout"), "not =?UTF-8?B?eA==?= throughout");
    }

    #[test]
    fn the_metadata_of_an_object_is_bounded() {
        let long = HashMap::from([("a".to_owned(), "ü".repeat(5_000)), ("n".repeat(129), "x".to_owned())]);
        let kept = from_headers(Some(&long));
        assert_eq!((kept.len(), kept["a"].len()), (1, MAX_VALUE_BYTES));
        let many: HashMap<_, _> = (0..1_000).map(|n| (format!("{n:04}"), "x".to_owned())).collect();
        let kept = from_headers(Some(&many));
        assert_eq!((kept.len(), kept.keys().next_back().unwrap().as_str()), (MAX_NAMES, "0063"));
    }

    #[test]
    fn names_contain_only_characters_that_headers_allow() {
        let metadata = BTreeMap::from([("Photo Grapher".to_owned(), "x".to_owned())]);
        assert_eq!(to_headers(&metadata).into_keys().collect::<Vec<_>>(), ["photo-grapher"]);
    }
}
