//! User metadata as S3 headers. A header's value is printable ASCII, so anything else travels as RFC 2047
//! encoded words (`=?UTF-8?B?…?=`), as Amazon's own service documents it, and is decoded when it comes back.
//! Names are lower-cased, as every S3 service does; what a header's name cannot hold becomes `-`.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const OPEN: &str = "=?UTF-8?B?";
const CLOSE: &str = "?=";
/// What the headers of user metadata begin with.
pub(super) const PREFIX: &str = "x-amz-meta-";
/// Most names that are kept of one object, and most bytes of a name and of a value. Amazon's own service allows 2 KB in all;
/// others do not say, and a record holds what is kept.
const MAX_NAMES: usize = 64;
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 2_048;
/// Bytes to an encoded word: no word may be longer than 75 characters.
const WORD: usize = 45;

/// What is sent.
pub(super) fn to_headers(metadata: &BTreeMap<String, String>) -> HashMap<String, String> {
    metadata.iter().map(|(name, value)| (header_name(name), encode(value))).collect()
}

/// What came back, within bounds: a value that is too long is cut, a name that is too long is left out with its value.
pub(super) fn from_headers(headers: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    let fits = |name: &str| !name.is_empty() && name.len() <= MAX_NAME;
    let all = headers.into_iter().flatten().filter(|(name, _)| fits(name));
    // In order of their names, so that the same ones are kept each time.
    let all: BTreeMap<String, &String> = all.map(|(name, value)| (name.to_lowercase(), value)).collect();
    all.into_iter().take(MAX_NAMES).map(|(name, value)| (name, cut(decode(value)))).collect()
}

fn cut(mut value: String) -> String {
    value.truncate(value.floor_char_boundary(MAX_VALUE));
    value
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
    let words: Option<Vec<_>> = value.split_ascii_whitespace().map(decode_word).collect();
    let Some(words) = words.filter(|words| !words.is_empty()) else { return value.to_owned() };
    // A character of UTF-8 may be split between two words.
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

/// The character sets that are read.
#[derive(Clone, Copy)]
enum Charset {
    Utf8,
    Latin1,
}

fn decode_word(word: &str) -> Option<(Charset, Vec<u8>)> {
    let inner = word.strip_prefix("=?")?.strip_suffix(CLOSE)?;
    let (charset, rest) = inner.split_once('?')?;
    let (encoding, text) = rest.split_once('?')?;
    // RFC 2231 puts a language behind it.
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
        assert_eq!(decode("=?ISO-8859-1?Q?Z=FCrich?= =?UTF-8*de?B?w7w=?="), "Zürichü");
        for left in ["=?KOI8-R?B?8A==?=", "=?UTF-8?B?!?=", "=?UTF-8?Q?Z=FCrich?=", "=?UTF-8?X?a?="] {
            assert_eq!(decode(left), left, "left as it is");
        }
        assert_eq!(decode("not =?UTF-8?B?eA==?= throughout"), "not =?UTF-8?B?eA==?= throughout");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = HashMap::from([("a".to_owned(), "ü".repeat(5_000)), ("n".repeat(129), "x".to_owned())]);
        let kept = from_headers(Some(&long));
        assert_eq!((kept.len(), kept["a"].len()), (1, MAX_VALUE));
        let many: HashMap<_, _> = (0..1_000).map(|n| (format!("{n:04}"), "x".to_owned())).collect();
        let kept = from_headers(Some(&many));
        assert_eq!((kept.len(), kept.keys().next_back().unwrap().as_str()), (MAX_NAMES, "0063"));
    }

    #[test]
    fn names_are_what_a_header_can_hold() {
        let metadata = BTreeMap::from([("Photo Grapher".to_owned(), "x".to_owned())]);
        assert_eq!(to_headers(&metadata).into_keys().collect::<Vec<_>>(), ["photo-grapher"]);
    }
}
