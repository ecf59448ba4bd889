//! Converts both versions of a listing request to a page request, and a page of the catalogue to both versions of the
//! reply.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object, ObjectStorageClass,
};
use s3s::{S3Result, s3_error};

use super::listing::{ListedObject, MAX_PAGE_ENTRIES, Page, PagePosition, PageRequest};
use super::objects::to_timestamp;

/// The characters that `encoding-type=url` encodes.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// Writes the names in one reply.
struct Names {
    encoded: bool,
}

impl Names {
    fn from_encoding_type(encoding: Option<&EncodingType>) -> Self {
        Self { encoded: encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL) }
    }

    fn write(&self, name: String) -> String {
        if self.encoded { utf8_percent_encode(&name, ENCODED).to_string() } else { name }
    }

    fn object(&self, object: ListedObject) -> Object {
        Object {
            key: Some(self.write(object.key)),
            size: Some(object.size),
            e_tag: Some(ETag::Strong(object.etag)),
            last_modified: Some(to_timestamp(object.modified)),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Object::default()
        }
    }

    fn objects(&self, objects: Vec<ListedObject>) -> Vec<Object> {
        objects.into_iter().map(|object| self.object(object)).collect()
    }

    fn prefixes(&self, prefixes: Vec<String>) -> Vec<CommonPrefix> {
        prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(self.write(prefix)) }).collect()
    }
}

fn limit(max_keys: Option<i32>) -> S3Result<usize> {
    let max = max_keys.map_or(Ok(MAX_PAGE_ENTRIES), usize::try_from);
    max.map(|max| max.min(MAX_PAGE_ENTRIES)).map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative"))
}

fn to_i32(number: usize) -> Option<i32> {
    i32::try_from(number).ok()
}

pub(super) fn request_v2(input: &ListObjectsV2Input) -> S3Result<PageRequest> {
    let after = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => Some(
            PagePosition::from_token(token)
                .ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not valid"))?,
        ),
        (None, start) => start.clone().filter(|key| !key.is_empty()).map(PagePosition::Key),
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    Ok(PageRequest { prefix, delimiter: input.delimiter.clone(), after, limit: limit(input.max_keys)? })
}

pub(super) fn reply_v2(input: ListObjectsV2Input, page: Page) -> ListObjectsV2Output {
    let names = Names::from_encoding_type(input.encoding_type.as_ref());
    ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(names.write(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| names.write(delimiter)),
        start_after: input.start_after.map(|key| names.write(key)),
        max_keys: input.max_keys.or(to_i32(MAX_PAGE_ENTRIES)),
        key_count: to_i32(page.objects.len() + page.prefixes.len()),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(PagePosition::to_token),
        contents: Some(names.objects(page.objects)),
        common_prefixes: Some(names.prefixes(page.prefixes)),
        encoding_type: input.encoding_type,
        ..ListObjectsV2Output::default()
    }
}

pub(super) fn request_v1(input: &ListObjectsInput) -> S3Result<PageRequest> {
    let delimiter = input.delimiter.clone();
    let after = input.marker.clone().filter(|key| !key.is_empty()).map(|marker| {
        // If a page ended with a common prefix, its marker is that prefix.
        let is_prefix =
            delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty() && marker.ends_with(delimiter));
        if is_prefix { PagePosition::Prefix(marker) } else { PagePosition::Key(marker) }
    });
    let prefix = input.prefix.clone().unwrap_or_default();
    Ok(PageRequest { prefix, delimiter, after, limit: limit(input.max_keys)? })
}

pub(super) fn reply_v1(input: ListObjectsInput, page: Page) -> ListObjectsOutput {
    let names = Names::from_encoding_type(input.encoding_type.as_ref());
    let is_truncated = Some(page.next.is_some());
    let next_marker = page.next.map(|(PagePosition::Key(name) | PagePosition::Prefix(name))| names.write(name));
    ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(names.write(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| names.write(delimiter)),
        marker: Some(names.write(input.marker.unwrap_or_default())),
        max_keys: input.max_keys.or(to_i32(MAX_PAGE_ENTRIES)),
        is_truncated,
        next_marker,
        contents: Some(names.objects(page.objects)),
        common_prefixes: Some(names.prefixes(page.prefixes)),
        encoding_type: input.encoding_type,
        ..ListObjectsOutput::default()
    }
}
