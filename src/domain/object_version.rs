//! How the version of an object is written: its ETag or, in a bucket that gives none, when it was last written. It is
//! compared as text, so that listings, replies and workers agree on it.

use super::Timestamp;

/// Before the time in a version that is not an ETag.
const BY_TIME: &str = "last-modified:";

/// The ETag of a text from a listing or a header: without quotes and without the mark of a weak one. `None` if there is
/// none, or if it says nothing: some services give one and the same to every object.
pub fn etag(text: &str, size_bytes: Option<u64>) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("W/").or_else(|| text.strip_prefix("w/")).unwrap_or(text).trim_matches('"').trim();
    let (digest, _) = text.split_once('-').unwrap_or((text, ""));
    // Of a file that was put into the folder of a MinIO server.
    let zeros = !digest.is_empty() && digest.bytes().all(|byte| byte == b'0');
    let of_nothing =
        text.eq_ignore_ascii_case("d41d8cd98f00b204e9800998ecf8427e") && size_bytes.is_some_and(|size| size > 0);
    (!text.is_empty() && !zeros && !of_nothing).then(|| text.to_owned())
}

/// The version of an object without an ETag. Whole seconds: a header has no more.
pub fn by_time(modified: Timestamp) -> String {
    let whole = Timestamp::from_unix_seconds(modified.unix_seconds()).unwrap_or(modified);
    format!("{BY_TIME}{whole}")
}

/// Whether a version is a time. Two objects with one time need not have the same bytes.
pub fn is_by_time(version: &str) -> bool {
    version.starts_with(BY_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_what_is_left_without_its_dress() {
        for text in ["\"abc\"", "abc", "W/\"abc\"", "w/\"abc\"", " \"abc\" "] {
            assert_eq!(etag(text, Some(1)).as_deref(), Some("abc"), "{text}");
        }
        assert_eq!(etag("\"abc-2\"", None).as_deref(), Some("abc-2"));
    }

    #[test]
    fn an_etag_that_says_nothing_is_none() {
        for text in ["", "\"\"", "W/\"\"", "  ", "00000000000000000000000000000000-1", "\"0\""] {
            assert_eq!(etag(text, Some(1)), None, "{text}");
        }
        let nothing = "\"d41d8cd98f00b204e9800998ecf8427e\"";
        assert_eq!(etag(nothing, Some(7)), None);
        assert!(etag(nothing, Some(0)).is_some());
    }

    #[test]
    fn a_listing_and_a_header_agree_on_a_time() {
        let listed = Timestamp::parse("2026-01-01T00:00:00.750Z").unwrap();
        let header = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(by_time(listed), by_time(header));
        assert!(is_by_time(&by_time(listed)) && !is_by_time("abc"));
    }
}
