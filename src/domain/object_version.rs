//! The version of an object as text: its ETag or, in a bucket without ETags, the time when it was last written.
//! Versions are compared as text, so listings, replies and workers must write them in the same way.

use super::Timestamp;

/// Prefix of a version that is a time and not an ETag.
const TIME_PREFIX: &str = "last-modified:";

/// Parses an ETag from a listing or a header: removes the quotes and the mark of a weak ETag. Returns `None` if it
/// is empty, or if it does not identify a version: some services give every object the same ETag.
pub fn etag(text: &str, size_bytes: Option<u64>) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("W/").or_else(|| text.strip_prefix("w/")).unwrap_or(text).trim_matches('"').trim();
    let (digest, _) = text.split_once('-').unwrap_or((text, ""));
    // A MinIO server gives such an ETag to a file that was copied into its folder.
    let all_zeros = !digest.is_empty() && digest.bytes().all(|byte| byte == b'0');
    let md5_of_empty =
        text.eq_ignore_ascii_case("d41d8cd98f00b204e9800998ecf8427e") && size_bytes.is_some_and(|size| size > 0);
    (!text.is_empty() && !all_zeros && !md5_of_empty).then(|| text.to_owned())
}

/// Returns the version of an object without an ETag. The time is cut to whole seconds because a header has no
/// fractions.
pub fn from_last_modified(modified: Timestamp) -> String {
    let whole = Timestamp::from_unix_seconds(modified.unix_seconds()).unwrap_or(modified);
    format!("{TIME_PREFIX}{whole}")
}

/// Whether a version is a time. Two objects with the same time do not necessarily have the same bytes.
pub fn is_last_modified(version: &str) -> bool {
    version.starts_with(TIME_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_the_weak_mark_of_an_etag_are_removed() {
        for text in ["\"abc\"", "abc", "W/\"abc\"", "w/\"abc\"", " \"abc\" "] {
            assert_eq!(etag(text, Some(1)).as_deref(), Some("abc"), "{text}");
        }
        assert_eq!(etag("\"abc-2\"", None).as_deref(), Some("abc-2"));
    }

    #[test]
    fn an_etag_that_is_the_same_for_all_objects_is_ignored() {
        for text in ["", "\"\"", "W/\"\"", "  ", "00000000000000000000000000000000-1", "\"0\""] {
            assert_eq!(etag(text, Some(1)), None, "{text}");
        }
        let md5_of_empty = "\"d41d8cd98f00b204e9800998ecf8427e\"";
        assert_eq!(etag(md5_of_empty, Some(7)), None);
        assert!(etag(md5_of_empty, Some(0)).is_some());
    }

    #[test]
    fn a_listing_and_a_header_give_the_same_version() {
        let listed = Timestamp::parse("2026-01-01T00:00:00.750Z").unwrap();
        let header = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(from_last_modified(listed), from_last_modified(header));
        assert!(is_last_modified(&from_last_modified(listed)) && !is_last_modified("abc"));
    }
}
