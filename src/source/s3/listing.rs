//! A listing, page by page, by its continuation tokens: these hold in whatever order a service gives its keys. What the
//! service gives wrong ends the listing with a sentence about it; nothing is listed without end.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2Error, ListObjectsV2Output};
use aws_sdk_s3::types::{EncodingType, Object, ObjectStorageClass, OptionalObjectAttributes};
use futures::stream::{BoxStream, StreamExt};
use percent_encoding::percent_decode_str;

use super::S3Source;
use super::errors::{Target, answered, dependency, source_error};
use super::page_body::{RepairPage, UNREADABLE};
use super::reply::Facts;
use crate::domain::{ImageRef, ImageUri, OperatorError, Timestamp, Trouble, object_version};
use crate::source::{ListedPage, NextPage, Scope, SourceError};

/// Pages without a key, one after the other.
const MAX_EMPTY_PAGES: u32 = 1_000;
/// Bytes of a continuation token.
const MAX_TOKEN: usize = 16 * 1024;
/// How often a page is asked for whose reply is not a listing, and the pause before the next time.
const ATTEMPTS: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Where a listing stands.
struct Listing {
    source: S3Source,
    scope: Scope,
    /// Of the page to be asked for; `None` for the first.
    token: Option<String>,
    /// Whether a page had objects of an archive: from then on it is asked which of them are restored.
    archive: bool,
    empty_pages: u32,
    tokens: Circle,
    contents: Circle,
}

/// The pages of a scope, from the page of that token on.
pub(super) fn pages(
    source: S3Source,
    scope: Scope,
    token: Option<String>,
) -> BoxStream<'static, Result<ListedPage, SourceError>> {
    let mut tokens = Circle::default();
    if let Some(token) = &token {
        tokens.closes(token);
    }
    let start = Listing { source, scope, token, archive: false, empty_pages: 0, tokens, contents: Circle::default() };
    futures::stream::unfold(Some(start), |listing| async move {
        let mut listing = listing?;
        let page = listing.next().await;
        let more = page.as_ref().is_ok_and(|page| page.next != NextPage::End);
        Some((page, more.then_some(listing)))
    })
    .boxed()
}

/// The objects of a scope, one by one.
pub(super) fn objects(source: S3Source, scope: Scope) -> BoxStream<'static, Result<ImageRef, SourceError>> {
    let pages = pages(source, scope, None).map(|page| match page {
        Ok(page) => page.images.into_iter().map(Ok).collect::<VecDeque<_>>(),
        Err(error) => VecDeque::from([Err(error)]),
    });
    pages.flat_map(futures::stream::iter).boxed()
}

impl Listing {
    async fn next(&mut self) -> Result<ListedPage, SourceError> {
        let reply = self.ask().await?;
        let page = read(&self.scope.bucket, reply).map_err(|what| self.broken(what))?;
        if let NextPage::Token(token) = &page.next {
            if token.len() > MAX_TOKEN {
                return Err(self.broken("gave a continuation token of more than 16 KiB"));
            }
            if self.tokens.closes(token) {
                return Err(self.broken("gave the same continuation token again, so that the listing would never end,"));
            }
            self.token = Some(token.clone());
        }
        if page.images.is_empty() && page.unreadable.is_empty() {
            self.empty_pages += 1;
            if self.empty_pages >= MAX_EMPTY_PAGES {
                return Err(self.broken("gave 1,000 pages without a key, one after the other,"));
            }
        } else {
            self.empty_pages = 0;
            let keys: Vec<&str> = page.images.iter().map(|image| image.uri.as_str()).collect();
            if self.contents.closes(&(keys, &page.unreadable)) {
                return Err(self.broken("gave the same page again, so that the listing would never end,"));
            }
        }
        Ok(page)
    }

    /// The reply to this page's request.
    async fn ask(&mut self) -> Result<ListObjectsV2Output, SourceError> {
        let reply = self.ask_with(self.archive).await?;
        let archived = reply.contents().iter().any(|object| archive_class(object).is_some());
        if !archived || self.archive {
            return Ok(reply);
        }
        // Only if there is a need: not every service knows this header. One that refuses it has restored nothing.
        self.archive = true;
        match self.ask_with(true).await {
            Err(error @ SourceError::Dependency(_)) => Err(error),
            asked => Ok(asked.unwrap_or(reply)),
        }
    }

    async fn ask_with(&self, restores: bool) -> Result<ListObjectsV2Output, SourceError> {
        let (bucket, setup) = (&self.scope.bucket, &self.source.setup);
        for attempt in 1.. {
            // A token says where to go on; `start_after` is for the first page.
            let start_after = if self.token.is_none() { self.scope.start_after.clone() } else { None };
            let request = self
                .source
                .client
                .list_objects_v2()
                .bucket(bucket)
                .prefix(&self.scope.prefix)
                .set_start_after(start_after)
                .set_continuation_token(self.token.clone())
                .set_request_payer(self.source.payer.clone())
                .set_optional_object_attributes(restores.then(|| vec![OptionalObjectAttributes::RestoreStatus]))
                // Without it, a key with a control character is not valid XML.
                .encoding_type(EncodingType::Url);
            let error = match request.customize().interceptor(RepairPage).send().await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let Some(facts) = good_status(&error) else { return Err(self.refused(&error)) };
            if facts.code.is_some() {
                return Err(answered(&facts, RETRY_DELAY, Target::Bucket(bucket), setup));
            }
            if attempt == ATTEMPTS {
                return Err(if facts.is_listing() {
                    tracing::warn!(s3.bucket = bucket, error = %aws_sdk_s3::error::DisplayErrorContext(&error), "a page cannot be read");
                    self.broken("gave a page that cannot be read (it is not a well-formed ListBucketResult)")
                } else {
                    setup.not_a_listing(bucket, &facts).into()
                });
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
        Err(dependency(Trouble::Failed, "no attempt was made".to_owned()))
    }

    /// The error of a reply with an error's status, or of none.
    fn refused(&self, error: &SdkError<ListObjectsV2Error>) -> SourceError {
        let (bucket, setup) = (&self.scope.bucket, &self.source.setup);
        if let (Some(_), SdkError::ServiceError(service)) = (&self.token, error)
            && service.raw().status().as_u16() == 400
            && service.err().meta().code() == Some("InvalidArgument")
        {
            return SourceError::Operator(OperatorError {
                problem: format!(
                    "the bucket's service no longer takes the token at which its listing of `{bucket}` goes on"
                ),
                advice: "the listing cannot be resumed; a new job lists from the start (S3_BUCKET)".to_owned(),
                detail: service.err().meta().message().unwrap_or_default().to_owned(),
            });
        }
        source_error(error, Target::Bucket(bucket), setup)
    }

    fn broken(&self, what: &str) -> SourceError {
        self.source.setup.broken_listing(&self.scope.bucket, what).into()
    }
}

/// What a reply says that has a good status and is not a listing; `None` for any other failure.
fn good_status(error: &SdkError<ListObjectsV2Error>) -> Option<Facts> {
    let raw = error.raw_response().filter(|raw| raw.status().is_success())?;
    // Only of a body that came to its end.
    raw.body().bytes()?;
    Some(Facts::read(raw, None, None))
}

/// The class of an object that cannot be read before it is restored.
fn archive_class(object: &Object) -> Option<&'static str> {
    let restored = object
        .restore_status()
        .is_some_and(|status| status.is_restore_in_progress() != Some(true) && status.restore_expiry_date().is_some());
    match object.storage_class() {
        Some(ObjectStorageClass::Glacier) if !restored => Some("GLACIER"),
        Some(ObjectStorageClass::DeepArchive) if !restored => Some("DEEP_ARCHIVE"),
        // Others are read at once, or only the reply to a GET tells.
        _ => None,
    }
}

/// What a page has; else what is wrong with it.
fn read(bucket: &str, reply: ListObjectsV2Output) -> Result<ListedPage, &'static str> {
    let encoded = reply.encoding_type == Some(EncodingType::Url);
    let token = reply.next_continuation_token.filter(|token| !token.is_empty());
    let next = match (reply.is_truncated, token) {
        (Some(true) | None, Some(token)) => NextPage::Token(token),
        (Some(false), _) => NextPage::End,
        (None, None) => {
            return Err("gave a page without IsTruncated, as if it did not know ListObjectsV2,");
        }
        // To end here would look like a complete listing; `sync` would then delete the rest.
        (Some(true), None) => {
            return Err("gave a truncated page without a continuation token, as if it did not know ListObjectsV2,");
        }
    };
    if reply.common_prefixes.is_some_and(|prefixes| !prefixes.is_empty()) {
        return Err("grouped keys (CommonPrefixes) though the request has no delimiter,");
    }
    let mut page = ListedPage { next, ..ListedPage::default() };
    for object in reply.contents.unwrap_or_default() {
        let Some(written) = object.key.as_deref().filter(|key| !key.is_empty()) else {
            page.unreadable.push("(an entry without a key)".to_owned());
            continue;
        };
        match key(written, encoded) {
            Ok(key) => {
                let uri = ImageUri::new(bucket, &key);
                page.archived.extend(archive_class(&object).map(|class| (uri.clone(), class.to_owned())));
                page.images.push(image_ref(uri, &object));
            }
            Err(lossy) => page.unreadable.push(lossy),
        }
    }
    Ok(page)
}

/// The key as it is; else as much of it as can be told.
fn key(written: &str, encoded: bool) -> Result<String, String> {
    // A form's encoding: a space may come as `+`, a plus never comes as itself.
    let decoded: Vec<u8> =
        if encoded { percent_decode_str(&written.replace('+', " ")).collect() } else { written.as_bytes().to_vec() };
    match String::from_utf8(decoded) {
        Ok(key) if !key.contains(UNREADABLE) => Ok(key),
        Ok(key) => Err(key.replace(UNREADABLE, "\u{FFFD}")),
        Err(error) => Err(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

fn image_ref(uri: ImageUri, object: &Object) -> ImageRef {
    let size = object.size.and_then(|size| u64::try_from(size).ok());
    let modified = object.last_modified.and_then(|moment| Timestamp::from_unix_seconds(moment.secs()));
    let etag = object.e_tag.as_deref().and_then(|etag| object_version::etag(etag, size));
    let version = etag.or_else(|| modified.map(object_version::from_last_modified));
    ImageRef { uri, etag: version, size_bytes: size.unwrap_or(0), modified }
}

/// Finds out that a sequence goes round in a circle, with one value remembered (Brent's algorithm).
#[derive(Debug, Default)]
struct Circle {
    remembered: Option<u64>,
    steps: u64,
    length: u64,
}

impl Circle {
    /// Whether the sequence has come back to a value with this one.
    fn closes(&mut self, value: &(impl Hash + ?Sized)) -> bool {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let value = hasher.finish();
        if self.remembered == Some(value) {
            return true;
        }
        self.steps += 1;
        if self.steps >= self.length {
            (self.remembered, self.steps, self.length) = (Some(value), 0, (self.length * 2).max(1));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_any_length_is_found_and_a_straight_line_is_not() {
        for (lead, length) in [(0, 1), (0, 2), (0, 3), (5, 1), (7, 4), (100, 37)] {
            let mut circle = Circle::default();
            let found = (0..10 * (lead + length)).position(|at| {
                let value = if at < lead { at } else { lead + (at - lead) % length };
                circle.closes(&value)
            });
            assert!(found.is_some(), "{lead} and then {length}");
        }
        let mut circle = Circle::default();
        assert!((0..100_000).all(|at| !circle.closes(&at)));
    }

    #[test]
    fn a_key_that_is_not_utf8_is_told_as_far_as_it_can_be() {
        assert_eq!(key("a+b%2B%C3%BC%25.jpg", true), Ok("a b+ü%.jpg".to_owned()));
        assert_eq!(key("a+b%2B.jpg", false), Ok("a+b%2B.jpg".to_owned()));
        assert_eq!(key("caf%E9.jpg", true), Err("caf\u{FFFD}.jpg".to_owned()));
        assert_eq!(key(&format!("caf{UNREADABLE}.jpg"), true), Err("caf\u{FFFD}.jpg".to_owned()));
        assert_eq!(key("line%0Abreak%01.jpg", true), Ok("line\nbreak\u{1}.jpg".to_owned()));
    }
}
