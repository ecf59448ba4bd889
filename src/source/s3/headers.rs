//! Repairs the headers of replies before the SDK reads them. The SDK reads every header that S3 can send, although most
//! are not used here, and refuses the whole reply if one is not UTF-8, is repeated, or is not a valid date or number.
//! Such a header must not make an object unreadable: the headers that are used are repaired, the others are removed.

use std::collections::BTreeMap;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

use super::metadata::PREFIX;

/// Repairs the headers of successful replies.
#[derive(Debug)]
pub(super) struct ReadableHeaders;

/// The headers that this service or the SDK uses.
const USED: [&str; 9] = [
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "x-amz-id-2",
    "x-amz-request-id",
];
/// Maximum number of bytes of the values with one name, and maximum number of names.
const MAX_VALUE_BYTES: usize = 64 * 1024;
const MAX_NAMES: usize = 256;

impl Intercept for ReadableHeaders {
    fn name(&self) -> &'static str {
        "ReadableHeaders"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        // The replies with an error are read by `reply`.
        if !response.status().is_success() {
            return Ok(());
        }
        let headers = response.headers_mut();
        let readable = readable(headers.iter_bytes());
        let names: Vec<String> = headers.iter_bytes().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            headers.remove(name);
        }
        for (name, value) in readable {
            // The name was valid before, and the value is UTF-8. If the value is still not valid, the header is
            // removed.
            drop(headers.try_insert(name, value));
        }
        Ok(())
    }
}

/// Returns the headers that are used, with one value for each name.
fn readable<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> BTreeMap<String, String> {
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let metadata = name.starts_with(PREFIX);
        if !(metadata || USED.contains(&name.as_str())) || value.len() > MAX_VALUE_BYTES {
            continue;
        }
        let value = text(value);
        let is_valid = match name.as_str() {
            "content-length" => value.parse::<u64>().is_ok_and(|length| i64::try_from(length).is_ok()),
            "last-modified" => httpdate::parse_http_date(&value).is_ok(),
            _ => true,
        };
        if !is_valid || (kept.len() >= MAX_NAMES && !kept.contains_key(&name)) {
            continue;
        }
        match kept.get_mut(&name) {
            None => drop(kept.insert(name, value)),
            // Repeated fields are joined as in RFC 9110; of all other headers the first value is used.
            Some(before)
                if (metadata || name == "content-encoding") && before.len() + value.len() < MAX_VALUE_BYTES =>
            {
                before.push_str(", ");
                before.push_str(&value);
            }
            Some(_) => {}
        }
    }
    kept
}

/// Returns a value as text. If it is not UTF-8, it is read as Latin-1, in which every byte is a character.
fn text(value: &[u8]) -> String {
    std::str::from_utf8(value).map_or_else(|_| value.iter().copied().map(char::from).collect(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_headers_are_repaired_and_others_removed() {
        let long = vec![b'x'; MAX_VALUE_BYTES + 1];
        let headers: Vec<(&str, &[u8])> = vec![
            ("x-amz-meta-latin", b"M\xfcller"),
            ("x-amz-meta-utf8", "M\u{fc}ller".as_bytes()),
            ("x-amz-meta-twice", b"one"),
            ("x-amz-meta-twice", b"t\xe9o"),
            ("x-amz-meta-long", &long),
            ("content-type", b"image/jp\xe9g"),
            ("content-type", b"image/png"),
            ("content-length", b"7"),
            ("etag", b"\"1\""),
            ("last-modified", b"yesterday"),
            ("expires", b"never"),
            ("x-amz-tagging-count", b"many"),
            ("cache-control", b"\xff"),
        ];
        let kept = readable(headers.into_iter());
        let kept: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            kept,
            [
                ("content-length", "7"),
                ("content-type", "image/jp\u{e9}g"),
                ("etag", "\"1\""),
                ("x-amz-meta-latin", "M\u{fc}ller"),
                ("x-amz-meta-twice", "one, t\u{e9}o"),
                ("x-amz-meta-utf8", "M\u{fc}ller"),
            ]
        );
        let valid = [("last-modified", &b"Thu, 01 Jan 2026 00:00:00 GMT"[..])];
        assert_eq!(readable(valid.into_iter()).len(), 1);
    }
}
