//! Whether the bytes that were read are those of the listed object. A service that fails, or a proxy in front of it, can
//! answer with a success status and other bytes.

use bytes::Bytes;

use crate::domain::image_format::has_image_extension;
use crate::domain::{ImageRef, object_version};
use crate::imaging::{ImageError, has_known_format, is_complete, is_html, sniff};
use crate::source::{EncodingError, Fetched, SourceError};

/// Maximum number of decoded bytes that are checked.
const MAX_DECODED_BYTES: u64 = 16 * 1024 * 1024;

/// Returns the error if the bytes are possibly not those of the listed object: their size or version is another one,
/// and they are not a complete image. The ETag `doubtful` identifies no version, because another object has it too.
pub(super) async fn problem(listed: &ImageRef, fetched: &Fetched, doubtful: Option<&str>) -> Option<SourceError> {
    let size = fetched.bytes.len() as u64;
    let is_doubtful = doubtful.is_some() && fetched.etag.as_deref() == doubtful;
    if size == listed.size_bytes && has_listed_version(listed, fetched) && !is_doubtful {
        return None;
    }
    let bytes = match fetched.decoded(MAX_DECODED_BYTES).await {
        Ok(bytes) => bytes,
        Err(EncodingError::Truncated(_)) => fetched.bytes.clone(),
        // Another object cannot show more.
        Err(_) => return None,
    };
    let has_listed_size = size == listed.size_bytes;
    if is_complete(&bytes) || (has_listed_size && !is_other_content(listed, fetched, &bytes)) {
        return None;
    }
    let (uri, format) = (&listed.uri, sniff(&bytes));
    if bytes.is_empty() || format.is_ok() {
        return Some(SourceError::BrokenOff { uri: uri.clone(), got: size, expected: listed.size_bytes });
    }
    if !has_image_extension(uri.key()) && !is_html(&bytes) {
        return None;
    }
    let reason = format!("its reply is not the listed object of {} bytes but {}", listed.size_bytes, describe(&bytes));
    Some(SourceError::Refused { what: uri.to_string(), reason })
}

/// Whether the version of the read is the one of the listing, so that the bytes are those of the object.
fn has_listed_version(listed: &ImageRef, fetched: &Fetched) -> bool {
    let from_time = fetched.modified.map(object_version::from_last_modified);
    listed.etag.is_some() && (listed.etag == fetched.etag || listed.etag == from_time)
}

/// Whether bytes of the listed size are other content than the object's: some services report another ETag, or none.
fn is_other_content(listed: &ImageRef, fetched: &Fetched, bytes: &Bytes) -> bool {
    let has_other_etag = || match (&listed.etag, &fetched.etag) {
        (Some(listed), Some(read)) => !object_version::is_last_modified(listed) && listed != read,
        _ => false,
    };
    // A file of another format is a file that someone stored.
    is_html(bytes) || is_blank(bytes) || is_error(bytes) || (has_other_etag() && !has_known_format(bytes))
}

fn is_blank(bytes: &Bytes) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0)
}

fn is_error(bytes: &Bytes) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]);
    head.trim_start().starts_with('<') && head.contains("<Error>")
}

fn describe(bytes: &Bytes) -> String {
    if is_blank(bytes) {
        return "only zeros".to_owned();
    }
    match sniff(bytes) {
        Err(ImageError::UnsupportedFormat(kind)) => kind,
        Ok(_) | Err(_) => "other bytes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::ImageUri;

    const GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0\x3B";

    fn listed(key: &str, etag: Option<&str>, size_bytes: u64) -> ImageRef {
        ImageRef { uri: ImageUri::new("b", key), etag: etag.map(str::to_owned), size_bytes, modified: None }
    }

    fn read(bytes: &'static [u8], etag: Option<&str>) -> Fetched {
        Fetched {
            bytes: Bytes::from_static(bytes),
            etag: etag.map(str::to_owned),
            modified: None,
            content_type: None,
            content_encoding: None,
            metadata: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn bytes_of_the_listed_size_and_version_are_the_objects_own() {
        for bytes in [&b"<html>own</html>"[..], b"\0\0\0\0", b"", b"<Error><Code>x</Code></Error>"] {
            let object = listed("a.jpg", Some("1"), bytes.len() as u64);
            assert_eq!(problem(&object, &read(bytes, Some("1")), None).await, None, "{bytes:?}");
        }
        let zeros = problem(&listed("a.jpg", Some("1"), 4), &read(b"\0\0\0\0", Some("1")), Some("1")).await;
        assert!(zeros.is_some(), "all objects have this ETag");
    }

    #[tokio::test]
    async fn a_complete_image_is_accepted_whatever_its_size_and_version() {
        for (size, etag) in [(14, None), (14, Some("2")), (900, Some("1")), (7, None)] {
            assert_eq!(
                problem(&listed("a.gif", Some("1"), size), &read(GIF, etag), None).await,
                None,
                "{size} {etag:?}"
            );
        }
    }

    #[tokio::test]
    async fn other_content_is_not_the_object() {
        let zeros: &[u8] = &[0; 14];
        for (bytes, size, etag) in [
            (&b"<html>sign in</html>"[..], 14, None),
            (b"<html>sign in</html>", 20, None),
            (zeros, 14, None),
            (zeros, 14, Some("2")),
            (b"{\"error\": 1}", 900, None),
            (b"\x01\x02\x03\xFE", 4, Some("2")),
        ] {
            let found = problem(&listed("a.jpg", Some("1"), size), &read(bytes, etag), None).await;
            assert!(matches!(found, Some(SourceError::Refused { .. })), "{bytes:?}: {found:?}");
        }
        // A file of another format, from a service whose reads have another ETag.
        assert_eq!(problem(&listed("a.jpg", Some("1"), 5), &read(b"%PDF-", Some("2")), None).await, None);
    }

    #[tokio::test]
    async fn a_beginning_of_an_image_is_a_body_that_ended_early() {
        for bytes in [&GIF[..12], b""] {
            let found = problem(&listed("a.gif", Some("1"), 14), &read(bytes, Some("1")), None).await;
            assert!(matches!(found, Some(SourceError::BrokenOff { expected: 14, .. })), "{found:?}");
        }
    }
}
