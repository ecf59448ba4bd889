//! Lists a bucket page by page with continuation tokens, which are valid in whatever order the keys come. A fault of
//! the service ends the listing with a message about it, so that no listing is endless.

use std::collections::VecDeque;
use std::time::Duration;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::list_objects_v2::{ListObjectsV2Error, ListObjectsV2Output};
use aws_sdk_s3::types::{EncodingType, OptionalObjectAttributes};
use futures::stream::{BoxStream, StreamExt};

use super::S3Source;
use super::cycle::CycleDetector;
use super::errors::{Target, dependency, error_for_reply, source_error};
use super::page;
use super::page_body::RepairPage;
use super::reply::ReplyFacts;
use crate::domain::{FailureKind, ImageRef, OperatorError, with_causes};
use crate::lock::lock;
use crate::source::{ListedPage, NextPage, Scope, SourceError};

/// Maximum number of consecutive pages without a key.
const MAX_EMPTY_PAGES: u32 = 1_000;
/// Maximum size of a continuation token in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Maximum number of requests for a page whose reply is not a listing, and the pause between them.
const MAX_ATTEMPTS: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// A listing between two pages.
struct Listing {
    source: S3Source,
    scope: Scope,
    /// The token of the next page; `None` for the first page.
    token: Option<String>,
    /// Whether a page had archived objects. The following requests ask which objects are restored.
    has_archived: bool,
    empty_pages: u32,
    tokens: CycleDetector,
    contents: CycleDetector,
}

/// Returns the pages of a scope, starting at `token` if there is one.
pub(super) fn pages(
    source: S3Source,
    scope: Scope,
    token: Option<String>,
) -> BoxStream<'static, Result<ListedPage, SourceError>> {
    let start = Listing::new(source, scope, token);
    futures::stream::unfold(Some(start), |listing| async move {
        let mut listing = listing?;
        let page = listing.next().await;
        let more = page.as_ref().is_ok_and(|page| page.next != NextPage::End);
        Some((page, more.then_some(listing)))
    })
    .boxed()
}

/// Returns the objects of a scope one by one.
pub(super) fn objects(source: S3Source, scope: Scope) -> BoxStream<'static, Result<ImageRef, SourceError>> {
    let pages = pages(source, scope, None).map(|page| match page {
        Ok(page) => page.images.into_iter().map(Ok).collect::<VecDeque<_>>(),
        Err(error) => VecDeque::from([Err(error)]),
    });
    pages.flat_map(futures::stream::iter).boxed()
}

/// Returns the first objects of a scope, at most `limit`.
pub(super) async fn first(source: S3Source, scope: Scope, limit: u16) -> Result<Vec<ImageRef>, SourceError> {
    let listing = Listing::new(source, scope, None);
    let reply = listing.send_request(false, Some(limit)).await?;
    let mut images = listing.read_page(reply)?.images;
    images.truncate(limit.into());
    Ok(images)
}

impl Listing {
    fn new(source: S3Source, scope: Scope, token: Option<String>) -> Self {
        let mut tokens = CycleDetector::default();
        if let Some(token) = &token {
            tokens.is_repeated(token);
        }
        let contents = CycleDetector::default();
        Self { source, scope, token, has_archived: false, empty_pages: 0, tokens, contents }
    }

    async fn next(&mut self) -> Result<ListedPage, SourceError> {
        let reply = self.request_page().await?;
        let page = self.read_page(reply)?;
        if let NextPage::Token(token) = &page.next {
            if token.len() > MAX_TOKEN_BYTES {
                return Err(self.broken("returned a continuation token of more than 16 KiB"));
            }
            if self.tokens.is_repeated(token) {
                return Err(
                    self.broken("returned the same continuation token again, so that the listing would never end,")
                );
            }
            self.token = Some(token.clone());
        }
        if page.images.is_empty() && page.unreadable.is_empty() {
            self.empty_pages += 1;
            if self.empty_pages >= MAX_EMPTY_PAGES {
                return Err(self.broken("returned 1,000 pages without a key in a row,"));
            }
        } else {
            self.empty_pages = 0;
            let keys: Vec<&str> = page.images.iter().map(|image| image.uri.as_str()).collect();
            if self.contents.is_repeated(&(keys, &page.unreadable)) {
                return Err(self.broken("returned the same page again, so that the listing would never end,"));
            }
        }
        Ok(page)
    }

    fn read_page(&self, reply: ListObjectsV2Output) -> Result<ListedPage, SourceError> {
        let bucket = &self.scope.bucket;
        let mut shared_etags = lock(&self.source.shared_etags);
        let page = page::read(bucket, reply, shared_etags.entry(bucket.clone()).or_default());
        page.map_err(|fault| self.broken(fault))
    }

    /// Requests the next page. If it has archived objects, requests it again with their restore status.
    async fn request_page(&mut self) -> Result<ListObjectsV2Output, SourceError> {
        let reply = self.send_request(self.has_archived, None).await?;
        let archived = reply.contents().iter().any(|object| page::archive_class(object).is_some());
        if !archived || self.has_archived {
            return Ok(reply);
        }
        // Only if it is needed, because not every service supports this header. If the service refuses it, no object
        // counts as restored.
        self.has_archived = true;
        match self.send_request(true, None).await {
            Err(error @ SourceError::Dependency(_)) => Err(error),
            with_status => Ok(with_status.unwrap_or(reply)),
        }
    }

    async fn send_request(
        &self,
        with_restore_status: bool,
        max_keys: Option<u16>,
    ) -> Result<ListObjectsV2Output, SourceError> {
        let (bucket, setup) = (&self.scope.bucket, &self.source.setup);
        for attempt in 1.. {
            // `start_after` is only for the first page; the others have a token.
            let start_after = if self.token.is_none() { self.scope.start_after.clone() } else { None };
            let request = self
                .source
                .client
                .list_objects_v2()
                .bucket(bucket)
                .prefix(&self.scope.prefix)
                .set_start_after(start_after)
                .set_continuation_token(self.token.clone())
                .set_max_keys(max_keys.map(i32::from))
                .set_request_payer(self.source.payer.clone())
                .set_optional_object_attributes(
                    with_restore_status.then(|| vec![OptionalObjectAttributes::RestoreStatus]),
                )
                // Without this encoding, a key with a control character makes the XML invalid.
                .encoding_type(EncodingType::Url);
            let error = match request.customize().interceptor(RepairPage).send().await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let Some(facts) = successful_reply(&error) else { return Err(self.to_source_error(&error)) };
            if facts.code.is_some() {
                return Err(error_for_reply(&facts, RETRY_DELAY, Target::Bucket(bucket), setup));
            }
            if attempt == MAX_ATTEMPTS {
                return Err(if facts.is_listing() {
                    let error = with_causes(&error);
                    tracing::warn!(s3.bucket = bucket, %error, "a page cannot be read");
                    self.broken("returned a page that cannot be read (it is not a well-formed ListBucketResult)")
                } else {
                    setup.not_a_listing(bucket, &facts).into()
                });
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
        Err(dependency(FailureKind::Failed, "no attempt was made".to_owned()))
    }

    /// Returns the error for a reply with an error status, or for no reply.
    fn to_source_error(&self, error: &SdkError<ListObjectsV2Error>) -> SourceError {
        let (bucket, setup) = (&self.scope.bucket, &self.source.setup);
        if let (Some(_), SdkError::ServiceError(service)) = (&self.token, error)
            && service.raw().status().as_u16() == 400
            && service.err().meta().code() == Some("InvalidArgument")
        {
            return SourceError::Operator(OperatorError {
                problem: format!(
                    "the service of the bucket no longer accepts the token with which the listing of `{bucket}` continues \
                     (InvalidArgument, 400)"
                ),
                advice: "the listing cannot be resumed; start a new job, which lists the bucket (S3_BUCKET) again"
                    .to_owned(),
                detail: service.err().meta().message().unwrap_or_default().to_owned(),
            });
        }
        source_error(error, Target::Bucket(bucket), setup)
    }

    fn broken(&self, fault: &str) -> SourceError {
        self.source.setup.broken_listing(&self.scope.bucket, fault).into()
    }
}

/// Returns the facts of a reply that has a success status but is not a listing; `None` for any other failure.
fn successful_reply(error: &SdkError<ListObjectsV2Error>) -> Option<ReplyFacts> {
    let raw = error.raw_response().filter(|raw| raw.status().is_success())?;
    // Only if the body arrived completely.
    raw.body().bytes()?;
    Some(ReplyFacts::read(raw, None, None))
}
