//! [`GuardedSource`]: while the service of the bucket is down, calls wait and no image fails.

mod bucket_check;
mod contents;
mod listing;
mod sample;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use self::bucket_check::BucketCheck;
use self::listing::Guards;
use super::{Fetched, ImageSource, ListedPage, NewObject, Opened, Part, Scope, SourceError};
use crate::domain::{ImageRef, ImageUri};
use crate::resilience::{CheckedCallError, Guard, Retryable};

/// The number of reads of one object that may break off. Before the last one, other objects are read to find the cause.
pub(super) const MAX_BROKEN_READS: u32 = 3;

/// How often a failed write is tried again, and the time limit of all attempts. Only thumbnails are written, and an
/// image is indexed without one rather than not at all.
const WRITE_RETRIES: usize = 3;
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Wraps a source with the breaker that all callers of the service share. Reads wait without a limit; a caller gives up
/// by dropping the call.
pub struct GuardedSource {
    inner: Arc<dyn ImageSource>,
    guard: Guard,
    /// Does not share the breaker: a bucket that cannot be written to can still be read.
    write_guard: Guard,
    /// Has one permit: after a failure of the service, one listing tries again and the others wait for it, so that
    /// several listings burden a service that throttles no more than one.
    relist_guard: Guard,
    bucket_check: BucketCheck,
}

type Listing = BoxStream<'static, Result<ImageRef, SourceError>>;

type Pages = BoxStream<'static, Result<ListedPage, SourceError>>;

impl GuardedSource {
    /// Guards `inner`.
    pub fn new(inner: Arc<dyn ImageSource>, guard: Guard) -> Self {
        let write_guard = Guard::interactive(guard.dependency(), WRITE_RETRIES).with_timeout(WRITE_TIMEOUT);
        let relist_guard = guard.clone().with_permits(1);
        Self { guard, write_guard, relist_guard, bucket_check: BucketCheck::new(inner.clone()), inner }
    }

    /// Decides about an object whose reads failed, with a check of other objects. Returns `true` if the check failed
    /// too; other objects can be read again when this returns.
    async fn waited_for_others<F>(&self, check: impl Fn() -> F + Send) -> Result<bool, SourceError>
    where
        F: Future<Output = Result<(), SourceError>> + Send,
    {
        match self.guard.call_while(|_| false, &check).await {
            Ok(()) => Ok(false),
            Err(error) if error.is_retryable() && self.guard.is_background() => {
                self.guard.call(&check).await?;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for GuardedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardedSource").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// Returns whether to read an object again after this error: not if its reads broke off `max` times.
fn below_broken_reads(max: u32) -> impl FnMut(&SourceError) -> bool {
    let mut broken = 0;
    move |error| {
        broken += u32::from(matches!(error, SourceError::BrokenOff { .. }));
        broken < max
    }
}

#[async_trait]
impl ImageSource for GuardedSource {
    fn list(&self, scope: &Scope) -> Listing {
        let images = self.pages(scope, None).map(|page| match page {
            Ok(page) => page.images.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        images.flat_map(stream::iter).boxed()
    }

    fn pages(&self, scope: &Scope, from: Option<String>) -> Pages {
        let guards = Guards { open: self.guard.clone(), reopen: self.relist_guard.clone() };
        listing::pages(self.inner.clone(), guards, scope.clone(), from)
    }

    async fn first(&self, scope: &Scope, limit: u16) -> Result<Vec<ImageRef>, SourceError> {
        self.guard.call_while(|_| false, || self.inner.first(scope, limit)).await
    }

    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        let (mut others_are_whole, mut others_are_right) = (false, false);
        loop {
            let control = || self.bucket_check.check_service(&image.uri);
            let again = below_broken_reads(if others_are_whole { 1 } else { MAX_BROKEN_READS - 1 });
            match self.guard.call_checking_input(again, || self.inner.fetch(image), control).await {
                Ok(fetched) => match contents::problem(image, &fetched, None).await {
                    None => {
                        self.bucket_check.remember(image);
                        return Ok(fetched);
                    }
                    // The bytes are this object's own: the caller decides what they are.
                    Some(_) if others_are_right => return Ok(fetched),
                    Some(problem) => {
                        tracing::warn!(image.uri = %image.uri, %problem, "a reply is not the listed object");
                        let check = || self.bucket_check.check_contents(&image.uri, fetched.etag.as_deref());
                        // The service may have recovered, so the object is read once more.
                        others_are_right = !self.waited_for_others(check).await?;
                    }
                },
                // The service may have recovered since the reads before, so the object is read once more.
                Err(CheckedCallError::Call(SourceError::BrokenOff { .. })) if !others_are_whole => {
                    others_are_whole = !self.waited_for_others(|| self.bucket_check.check_service(&image.uri)).await?;
                }
                Err(CheckedCallError::Call(error)) if sample::is_refusal(&error) => {
                    let cause = || self.bucket_check.cause_of_refusal(&image.uri, &error);
                    return Err(self.guard.call(cause).await?.unwrap_or(error));
                }
                Err(CheckedCallError::Call(error)) => return Err(error),
                Err(CheckedCallError::BadInput { tries, error }) => {
                    tracing::warn!(
                        image.uri = %image.uri, tries, %error, "the service of the bucket fails for one object only"
                    );
                    return Err(SourceError::Failing { uri: image.uri.clone(), tries });
                }
            }
        }
    }

    async fn fetch_file(&self, uri: &ImageUri, max_bytes: u64) -> Result<Fetched, SourceError> {
        self.guard.call_while(below_broken_reads(MAX_BROKEN_READS), || self.inner.fetch_file(uri, max_bytes)).await
    }

    /// Guards the reply until its body begins. A body that breaks off is an error of its stream.
    async fn open(&self, uri: &ImageUri, part: Option<&Part>) -> Result<Opened, SourceError> {
        self.guard.call(|| self.inner.open(uri, part)).await
    }

    async fn put(&self, uri: &ImageUri, object: NewObject) -> Result<Option<String>, SourceError> {
        // Not again if the object must be new: the first attempt may have written it although it failed.
        self.write_guard.call_while(|_| !object.only_new, || self.inner.put(uri, object.clone())).await
    }
}

#[cfg(test)]
mod tests;
