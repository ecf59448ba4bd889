//! Reads the page of a listing.

use std::collections::{HashMap, HashSet};

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object, ObjectStorageClass};
use percent_encoding::percent_decode_str;

use super::page_text::UNREADABLE;
use crate::domain::{ImageRef, ImageUri, Timestamp, object_version};
use crate::source::{ListedPage, NextPage, UnreadableKey};

/// Returns the storage class of an object that cannot be read before it is restored.
pub(super) fn archive_class(object: &Object) -> Option<&'static str> {
    let restored = object
        .restore_status()
        .is_some_and(|status| status.is_restore_in_progress() != Some(true) && status.restore_expiry_date().is_some());
    match object.storage_class() {
        Some(ObjectStorageClass::Glacier) if !restored => Some("GLACIER"),
        Some(ObjectStorageClass::DeepArchive) if !restored => Some("DEEP_ARCHIVE"),
        // Other classes can be read at once, or only the reply to a GET shows that the object is archived
        // (INTELLIGENT_TIERING).
        _ => None,
    }
}

/// Reads a page. Fails with what the service did wrong.
pub(super) fn read(
    bucket: &str,
    reply: ListObjectsV2Output,
    shared_etags: &mut SharedEtags,
) -> Result<ListedPage, &'static str> {
    let encoded = reply.encoding_type == Some(EncodingType::Url);
    let token = reply.next_continuation_token.filter(|token| !token.is_empty());
    let next = match (reply.is_truncated, token) {
        (Some(true) | None, Some(token)) => NextPage::Token(token),
        (Some(false), None) => NextPage::End,
        // One of both is wrong. To end here could look like a complete listing; `sync` would then delete the rest.
        (Some(false), Some(_)) => {
            return Err("returned a page that is the last one by its IsTruncated, but has a token for a next page,");
        }
        (None, None) => {
            return Err("returned a page without IsTruncated, which ListObjectsV2 requires,");
        }
        // To end here would look like a complete listing; `sync` would then delete the rest.
        (Some(true), None) => {
            return Err("returned a truncated page without a continuation token, which ListObjectsV2 requires,");
        }
    };
    if reply.common_prefixes.is_some_and(|prefixes| !prefixes.is_empty()) {
        return Err("grouped keys (CommonPrefixes), although the request has no delimiter,");
    }
    let objects = reply.contents.unwrap_or_default();
    let missing = reply.key_count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > objects.len());
    shared_etags.find(&objects);
    let mut page = ListedPage { next, ..ListedPage::default() };
    if let Some(count) = missing {
        let text = format!("(KeyCount is {count}, but the page has {} entries)", objects.len());
        page.unreadable.push(UnreadableKey { position: 0, text });
    }
    for object in objects {
        let position = page.images.len();
        let Some(written) = object.key.as_deref().filter(|key| !key.is_empty()) else {
            page.unreadable.push(UnreadableKey { position, text: "(an entry without a key)".to_owned() });
            continue;
        };
        match decode_key(written, encoded) {
            Ok(key) => {
                let uri = ImageUri::new(bucket, &key);
                page.archived.extend(archive_class(&object).map(|class| (uri.clone(), class.to_owned())));
                page.images.push(image_ref(uri, &object, shared_etags));
            }
            Err(text) => page.unreadable.push(UnreadableKey { position, text }),
        }
    }
    Ok(page)
}

/// Returns the key, or its readable part if it is not UTF-8.
fn decode_key(written: &str, encoded: bool) -> Result<String, String> {
    // The encoding of HTML forms: a space can be written as `+`, and a plus sign is always encoded.
    let decoded: Vec<u8> =
        if encoded { percent_decode_str(&written.replace('+', " ")).collect() } else { written.as_bytes().to_vec() };
    match String::from_utf8(decoded) {
        Ok(key) if !written.contains(UNREADABLE) => Ok(key),
        Ok(key) => Err(key.replace(UNREADABLE, "\u{FFFD}")),
        Err(error) => Err(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

fn image_ref(uri: ImageUri, object: &Object, shared_etags: &SharedEtags) -> ImageRef {
    let size = object.size.and_then(|size| u64::try_from(size).ok());
    let modified = object.last_modified.and_then(|moment| Timestamp::from_unix_seconds(moment.secs()));
    let etag = object.e_tag.as_deref().and_then(|etag| object_version::etag(etag, size));
    let from_time = modified.map(object_version::from_last_modified);
    let version = match etag {
        Some(etag) if shared_etags.contains(&etag) => from_time.or(Some(etag)),
        etag => etag.or(from_time),
    };
    ImageRef { uri, etag: version, size_bytes: size.unwrap_or(0), modified }
}

/// The ETags that objects of different sizes have in common, so that they do not identify a version: some gateways give
/// every object the same ETag.
#[derive(Debug, Default)]
pub(super) struct SharedEtags(HashSet<String>);

/// Maximum number of ETags that are remembered from one page to the next.
const MAX_SHARED_ETAGS: usize = 10_000;

impl SharedEtags {
    fn find(&mut self, objects: &[Object]) {
        let mut sizes = HashMap::new();
        for object in objects {
            let (Some(etag), Some(size)) = (object.e_tag(), object.size()) else { continue };
            if *sizes.entry(etag).or_insert(size) != size && self.0.len() < MAX_SHARED_ETAGS {
                self.0.extend(object_version::etag(etag, None));
            }
        }
    }

    fn contains(&self, etag: &str) -> bool {
        self.0.contains(etag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_utf8_is_shown_with_replacement_characters() {
        assert_eq!(decode_key("a+b%2B%C3%BC%25.jpg", true), Ok("a b+ü%.jpg".to_owned()));
        assert_eq!(decode_key("a+b%2B.jpg", false), Ok("a+b%2B.jpg".to_owned()));
        assert_eq!(decode_key("caf%E9.jpg", true), Err("caf\u{FFFD}.jpg".to_owned()));
        assert_eq!(decode_key(&format!("caf{UNREADABLE}.jpg"), true), Err("caf\u{FFFD}.jpg".to_owned()));
        assert_eq!(decode_key("%EF%B7%90.jpg", true), Ok("\u{FDD0}.jpg".to_owned()), "it is UTF-8");
        assert_eq!(decode_key("\u{FDD0}.jpg", false), Ok("\u{FDD0}.jpg".to_owned()));
        assert_eq!(decode_key("line%0Abreak%01.jpg", true), Ok("line\nbreak\u{1}.jpg".to_owned()));
    }

    #[test]
    fn an_etag_of_objects_of_different_sizes_is_not_a_version() {
        let object = |etag: &str, size| Object::builder().e_tag(etag).size(size).build();
        let mut shared = SharedEtags::default();
        shared.find(&[object("\"a\"", 1), object("\"a\"", 1), object("\"b\"", 1), object("\"b\"", 2)]);
        assert_eq!((shared.contains("a"), shared.contains("b")), (false, true));
    }
}
