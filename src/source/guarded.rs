//! [`GuardedSource`]: while the bucket's service is down, calls wait, and no image fails.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::time::Instant;

use super::{Fetched, ImageSource, ListedPage, NewObject, NextPage, Scope, SourceError};
use crate::domain::{ImageRef, ImageUri, OperatorError};
use crate::resilience::{AttributedError, Guard, Retryable};

/// The number of reads of one object that may break off before the object fails.
pub(super) const BROKEN_OFF: u32 = 3;

/// Wraps a source with the breaker that all callers of the bucket share. Waits without a limit; a caller gives up by dropping
/// the call.
pub struct GuardedSource {
    inner: Arc<dyn ImageSource>,
    guard: Guard,
    readable: Mutex<Option<Readable>>,
}

/// An object that was read: while it can be read, a refusal concerns other objects, and not the whole bucket.
#[derive(Clone)]
struct Readable {
    image: ImageRef,
    /// When it was last read to find out whether the bucket can be read at all.
    checked: Option<Instant>,
}

/// How long such a check counts, so that a folder of objects that may not be read costs few of them.
const CHECK_TTL: Duration = Duration::from_secs(1);

impl GuardedSource {
    /// Guards `inner`.
    pub fn new(inner: Arc<dyn ImageSource>, guard: Guard) -> Self {
        Self { inner, guard, readable: Mutex::new(None) }
    }

    fn readable(&self) -> MutexGuard<'_, Option<Readable>> {
        self.readable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, image: &ImageRef) {
        let mut readable = self.readable();
        let checked = readable.as_ref().and_then(|readable| readable.checked);
        *readable = Some(Readable { image: image.clone(), checked });
    }

    /// An object that was read before, other than `image`.
    fn other_than(&self, image: &ImageRef) -> Option<Readable> {
        self.readable()
            .clone()
            .filter(|other| other.image.uri.bucket() == image.uri.bucket() && other.image.uri != image.uri)
    }

    /// Whether the bucket's service answers for something other than `image`: an object that was read before, else the
    /// listing. A service may list while it cannot read.
    async fn answers(&self, image: &ImageRef) -> Result<(), SourceError> {
        let answer = match self.other_than(image) {
            Some(other) => self.inner.fetch(&other.image).await.map(drop),
            None => self.is_listed(image).await.map(drop),
        };
        match answer {
            Err(error @ SourceError::Dependency(_)) => Err(error),
            // A refusal is an answer.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn is_listed(&self, image: &ImageRef) -> Result<bool, SourceError> {
        let scope = Scope { bucket: image.uri.bucket().into(), prefix: image.uri.key().into(), start_after: None };
        let page = self.inner.pages(&scope, None).next().await.transpose()?;
        Ok(page.is_some_and(|page| page.images.iter().any(|listed| listed.uri == image.uri)))
    }

    /// Returns the operator's error if an object that could be read before is refused in the same way as `image`, else the
    /// image's own error.
    async fn refused(&self, image: &ImageRef, error: SourceError) -> SourceError {
        if !matches!(error, SourceError::Denied(_) | SourceError::Missing(_) | SourceError::Refused { .. }) {
            return error;
        }
        let Some(other) = self.other_than(image) else { return error };
        if other.checked.is_some_and(|checked| checked.elapsed() < CHECK_TTL) {
            return error;
        }
        match self.inner.fetch(&other.image).await {
            Ok(_) => {
                *self.readable() = Some(Readable { image: other.image, checked: Some(Instant::now()) });
                error
            }
            // Both objects were deleted: that is not the bucket's failure.
            Err(SourceError::Missing(_)) if !self.is_listed(&other.image).await.unwrap_or(false) => {
                *self.readable() = None;
                error
            }
            Err(now) if std::mem::discriminant(&now) == std::mem::discriminant(&error) => {
                SourceError::Operator(OperatorError {
                    problem: format!(
                        "objects of the bucket `{}` that could be read before can no longer be read",
                        image.uri.bucket()
                    ),
                    advice: "check S3_ENDPOINT, and that S3_ACCESS_KEY_ID may still read the objects (s3:GetObject)"
                        .to_owned(),
                    detail: now.to_string(),
                })
            }
            Err(_) => error,
        }
    }
}

impl std::fmt::Debug for GuardedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardedSource").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// Returns whether to read an object again after this error: not if its reads broke off [`BROKEN_OFF`] times.
fn not_for_ever() -> impl FnMut(&SourceError) -> bool {
    let mut broken_off = 0;
    move |error| {
        broken_off += u32::from(matches!(error, SourceError::BrokenOff { .. }));
        broken_off < BROKEN_OFF
    }
}

type Listing = BoxStream<'static, Result<ImageRef, SourceError>>;

type Pages = BoxStream<'static, Result<ListedPage, SourceError>>;

/// A listing that goes on where a page was not given: with its token or, if the source has none, after the last key.
struct Resuming {
    inner: Arc<dyn ImageSource>,
    guard: Guard,
    scope: Scope,
    from: Option<String>,
    /// `None` before the first page.
    listing: Option<Pages>,
}

impl Resuming {
    async fn next(&mut self) -> Option<Result<ListedPage, SourceError>> {
        let next = match &mut self.listing {
            Some(listing) => listing.next().await,
            None => self.open().await.transpose(),
        };
        match next {
            Some(Err(error)) if error.is_retryable() => {
                // Only opening goes through the breaker: a page that is at hand already says nothing of the
                // service, and must neither close the breaker nor take the place of its probe.
                let next = self.open().await.transpose();
                self.remember(next)
            }
            next => self.remember(next),
        }
    }

    fn remember(&mut self, next: Option<Result<ListedPage, SourceError>>) -> Option<Result<ListedPage, SourceError>> {
        if let Some(Ok(page)) = &next {
            match &page.next {
                NextPage::Token(token) => self.from = Some(token.clone()),
                NextPage::AfterLastKey => {
                    let last = page.images.last().map(|image| image.uri.key().to_owned());
                    self.scope.start_after = last.or(self.scope.start_after.take());
                }
                NextPage::End => {}
            }
        }
        next
    }

    /// The first page of a fresh listing of what is left.
    async fn open(&mut self) -> Result<Option<ListedPage>, SourceError> {
        let (inner, scope, from) = (&self.inner, &self.scope, &self.from);
        let opened = self.guard.call(|| async move {
            let mut listing = inner.pages(scope, from.clone());
            let first = listing.next().await.transpose()?;
            Ok::<_, SourceError>((first, listing))
        });
        let (first, listing) = opened.await?;
        self.listing = Some(listing);
        Ok(first)
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
        let (inner, guard) = (self.inner.clone(), self.guard.clone());
        let start = Resuming { inner, guard, scope: scope.clone(), from, listing: None };
        stream::unfold(Some(start), |state| async move {
            let mut state = state?;
            let next = state.next().await?;
            let rest = next.is_ok().then_some(state);
            Some((next, rest))
        })
        .boxed()
    }

    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        let answers = || self.answers(image);
        match self.guard.call_attributed(not_for_ever(), || self.inner.fetch(image), answers).await {
            Ok(fetched) => {
                self.remember(image);
                Ok(fetched)
            }
            Err(AttributedError::Call(error)) => Err(self.refused(image, error).await),
            Err(AttributedError::Input { tries, error }) => {
                tracing::warn!(image.uri = %image.uri, tries, %error, "the bucket's service fails over an object alone");
                Err(SourceError::Failing { uri: image.uri.clone(), tries })
            }
        }
    }

    async fn fetch_file(&self, uri: &ImageUri, most: u64) -> Result<Fetched, SourceError> {
        self.guard.call_while(not_for_ever(), || self.inner.fetch_file(uri, most)).await
    }

    async fn put(&self, uri: &ImageUri, object: NewObject) -> Result<(), SourceError> {
        self.guard.call(|| self.inner.put(uri, object.clone())).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use futures::TryStreamExt;
    use tokio::time::Instant;

    use super::*;
    use crate::domain::{DependencyError, Trouble};
    use crate::resilience::{Breaker, BreakerSettings, WaitBoard};

    fn down() -> SourceError {
        let trouble = Trouble::Failed;
        SourceError::Dependency(DependencyError { dependency: "s3".to_owned(), trouble, detail: "refused".to_owned() })
    }

    fn image(key: &str) -> ImageRef {
        ImageRef { uri: ImageUri::new("b", key), etag: None, size_bytes: 1, modified: None }
    }

    /// Keys `0` to `9`. Each listing breaks down after three, each call takes the next of `answers`.
    #[derive(Default)]
    struct Shaky {
        answers: Mutex<Vec<SourceError>>,
        calls: AtomicU32,
    }

    #[async_trait]
    impl ImageSource for Shaky {
        fn list(&self, scope: &Scope) -> Listing {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if let Some(error) = self.answers.lock().unwrap().pop() {
                return futures::stream::iter([Err(error)]).boxed();
            }
            let after = scope.start_after.clone().unwrap_or_default();
            let left: Vec<_> = (0..10).map(|n| n.to_string()).filter(|key| *key > after).collect();
            let end = (left.len() > 3).then(|| Err(down()));
            futures::stream::iter(left.into_iter().take(3).map(|key| Ok(image(&key))).chain(end)).boxed()
        }
        async fn fetch(&self, _: &ImageRef) -> Result<Fetched, SourceError> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let fetched = Fetched {
                bytes: "x".into(),
                etag: None,
                modified: None,
                content_type: None,
                content_encoding: None,
                metadata: std::collections::BTreeMap::new(),
            };
            self.answers.lock().unwrap().pop().map_or(Ok(fetched), Err)
        }
        async fn fetch_file(&self, uri: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
            self.fetch(&image(uri.key())).await
        }
        async fn put(&self, _: &ImageUri, _: NewObject) -> Result<(), SourceError> {
            self.answers.lock().unwrap().pop().map_or(Ok(()), Err)
        }
    }

    fn guarded(answers: Vec<SourceError>) -> (GuardedSource, Arc<Shaky>, Arc<Breaker>) {
        let shaky = Arc::new(Shaky { answers: Mutex::new(answers), calls: AtomicU32::new(0) });
        let settings = BreakerSettings { threshold: 2, cool_down: Duration::from_mins(1) };
        let breaker = Arc::new(Breaker::new(settings));
        let guard = Guard::background("s3", WaitBoard::default()).through(breaker.clone());
        (GuardedSource::new(shaky.clone(), guard), shaky, breaker)
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_goes_on_after_the_last_key_it_gave() {
        let (source, shaky, breaker) = guarded(vec![down(), down(), down()]);
        let begun = Instant::now();
        let scope = Scope { bucket: "b".to_owned(), prefix: String::new(), start_after: None };
        let images: Vec<ImageRef> = source.list(&scope).try_collect().await.unwrap();
        assert_eq!(images.iter().map(|image| image.uri.key()).collect::<String>(), "0123456789");
        assert_eq!(shaky.calls.load(Ordering::SeqCst), 3 + 4, "three refused, four of three keys each");
        assert!(begun.elapsed() >= Duration::from_mins(2), "{:?}", begun.elapsed());
        assert_eq!(breaker.open_for(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_cannot_be_ends_with_its_error() {
        let (source, ..) = guarded(vec![SourceError::NoBucket("b".to_owned())]);
        let scope = Scope { bucket: "b".to_owned(), prefix: String::new(), start_after: None };
        let all: Vec<_> = source.list(&scope).collect().await;
        assert_eq!(all, [Err(SourceError::NoBucket("b".to_owned()))]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_breaks_off_again_and_again_is_its_own_trouble() {
        let broken = || SourceError::BrokenOff { uri: ImageUri::new("b", "0"), got: 1, expected: 2 };
        let (source, shaky, _) = guarded(vec![broken(), broken()]);
        assert!(source.fetch(&image("0")).await.is_ok());
        assert_eq!(shaky.calls.load(Ordering::SeqCst), 3);
        let (source, shaky, _) = guarded(vec![broken(), broken(), down(), broken(), broken()]);
        assert_eq!(source.fetch(&image("0")).await.unwrap_err(), broken());
        assert_eq!(shaky.calls.load(Ordering::SeqCst), 4, "a service that is down does not count");
    }

    #[tokio::test(start_paused = true)]
    async fn writing_waits_too() {
        let (source, ..) = guarded(vec![down(), down(), down()]);
        source.put(&ImageUri::new("b", "0"), NewObject::default()).await.unwrap();
    }
}
