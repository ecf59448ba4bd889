//! [`BucketCheck`]: reads other objects of the bucket to find out whose failure it is that one object cannot be read.

use std::collections::HashSet;
use std::mem::discriminant;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::contents;
use super::sample::{Results, Sample, after_folder, evenly_spaced, never_readable, no_longer_readable, wrong_contents};
use crate::domain::image_format::has_image_extension;
use crate::domain::{ImageRef, ImageUri, OperatorError};
use crate::lock::lock;
use crate::source::{ImageSource, NextPage, Scope, SourceError};

/// How long a result is used, so that a folder of unreadable objects does not double the number of requests.
const CHECK_TTL: Duration = Duration::from_secs(1);
/// Maximum number of top-level folders from which objects are read.
const MAX_FOLDERS: usize = 8;
/// Maximum number of keys and pages of one part of the listing from which the objects are chosen.
const MAX_SCOPE_KEYS: usize = 1_000;
const MAX_SCOPE_PAGES: usize = 8;
/// Maximum size of an object that is read to check its bytes, because it is in memory outside the budget.
const MAX_CHECKED_BYTES: u64 = 16 * 1024 * 1024;

/// What a read of another object must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check<'a> {
    /// The service sends it to its end.
    Readable,
    /// Its bytes are those of the listed object. The ETag of the object that caused the check does not prove that,
    /// because all objects can have it.
    Contents { doubtful_etag: Option<&'a str> },
}

/// What is known about the other objects of the bucket.
pub(super) struct BucketCheck {
    inner: Arc<dyn ImageSource>,
    state: Mutex<State>,
    /// Held while objects are sampled, so that concurrent callers share one sample.
    sampling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The object that was read last: as long as it can be read, a refusal concerns other objects and not the whole
    /// bucket.
    readable: Option<ImageRef>,
    /// When `readable` was last read as a check.
    checked: Option<Instant>,
    /// The bucket of which no object could be read, and when that was found out.
    unreadable: Option<(Instant, String, OperatorError)>,
    /// When another object was last read with the right bytes.
    contents_checked: Option<Instant>,
}

impl BucketCheck {
    pub(super) fn new(inner: Arc<dyn ImageSource>) -> Self {
        Self { inner, state: Mutex::default(), sampling: tokio::sync::Mutex::default() }
    }

    /// Records that an object was read.
    pub(super) fn remember(&self, image: &ImageRef) {
        lock(&self.state).readable = Some(image.clone());
    }

    /// Checks whether the service returns objects other than `uri`: the one that was read last, or else a sample. The
    /// listing alone is not enough, because a service can list while it cannot read. A refusal is an answer.
    ///
    /// # Errors
    /// Returns the dependency's error if the service fails for other objects too.
    pub(super) async fn check_service(&self, uri: &ImageUri) -> Result<(), SourceError> {
        if let Some(other) = self.readable_other_than(uri) {
            match self.read(&other, Check::Readable).await {
                Err(error @ SourceError::Dependency(_)) => return Err(error),
                Err(SourceError::BrokenOff { .. }) => {}
                Ok(()) | Err(_) => return Ok(()),
            }
        }
        match self.sample(uri, Check::Readable).await? {
            Sample::Failed(error) => Err(error),
            Sample::Readable | Sample::Refused { .. } | Sample::Empty => Ok(()),
        }
    }

    /// Checks whether the service returns the bytes of other objects than `uri`, whose reply had this ETag.
    ///
    /// # Errors
    /// Returns the dependency's error if the bodies of other objects end too early too, and the operator's error if
    /// other objects are answered with something else too.
    pub(super) async fn check_contents(&self, uri: &ImageUri, etag: Option<&str>) -> Result<(), SourceError> {
        let check = Check::Contents { doubtful_etag: etag };
        let _one_at_a_time = self.sampling.lock().await;
        if lock(&self.state).contents_checked.is_some_and(|checked| checked.elapsed() < CHECK_TTL) {
            return Ok(());
        }
        let is_right = match self.readable_other_than(uri) {
            Some(other) => self.read(&other, check).await.is_ok(),
            None => false,
        };
        let sample = if is_right { Sample::Readable } else { self.sample(uri, check).await? };
        match sample {
            Sample::Failed(error) => Err(error),
            Sample::Refused { tried, last } => Err(wrong_contents(uri.bucket(), tried + 1, &last).into()),
            Sample::Readable => {
                lock(&self.state).contents_checked = Some(Instant::now());
                Ok(())
            }
            Sample::Empty => Ok(()),
        }
    }

    /// Returns the operator's error if the refusal `error` of `uri` concerns the whole bucket, or `None` if it concerns
    /// only this object.
    ///
    /// # Errors
    /// Returns the dependency's error if the service fails meanwhile.
    pub(super) async fn cause_of_refusal(
        &self,
        uri: &ImageUri,
        error: &SourceError,
    ) -> Result<Option<SourceError>, SourceError> {
        if let Some(other) = self.readable_other_than(uri) {
            if lock(&self.state).checked.is_some_and(|checked| checked.elapsed() < CHECK_TTL) {
                return Ok(None);
            }
            match self.read(&other, Check::Readable).await {
                Ok(()) => {
                    lock(&self.state).checked = Some(Instant::now());
                    return Ok(None);
                }
                // The other object was deleted, which is not a failure of the bucket.
                Err(SourceError::Missing(_)) if !self.is_listed(&other.uri).await? => lock(&self.state).readable = None,
                Err(now) if discriminant(&now) == discriminant(error) => {
                    return Ok(Some(no_longer_readable(uri.bucket(), &now)));
                }
                Err(_) => return Ok(None),
            }
        }
        if matches!(error, SourceError::Missing(_)) && !self.is_listed(uri).await? {
            return Ok(None);
        }
        let _one_at_a_time = self.sampling.lock().await;
        if self.readable_other_than(uri).is_some() {
            return Ok(None);
        }
        if let Some((at, bucket, error)) = &lock(&self.state).unreadable
            && at.elapsed() < CHECK_TTL
            && bucket == uri.bucket()
        {
            return Ok(Some(error.clone().into()));
        }
        match self.sample(uri, Check::Readable).await? {
            Sample::Refused { tried, last } => {
                let error = never_readable(uri.bucket(), tried + 1, &last);
                lock(&self.state).unreadable = Some((Instant::now(), uri.bucket().to_owned(), error.clone()));
                Ok(Some(error.into()))
            }
            Sample::Failed(error) => Err(error),
            Sample::Readable | Sample::Empty => Ok(None),
        }
    }

    /// Reads other objects until one can be read: neighbours of `uri` in its folder, then objects of the other
    /// folders.
    async fn sample(&self, uri: &ImageUri, check: Check<'_>) -> Result<Sample, SourceError> {
        let key = uri.key();
        let folder = key.rfind('/').map_or("", |slash| &key[..=slash]);
        let (mut tried, mut results) = (HashSet::from([uri.clone()]), Results::default());
        let mut start_after = None;
        for part in 0..=MAX_FOLDERS {
            let scope = match part {
                0 => Scope { bucket: uri.bucket().into(), prefix: folder.into(), start_after: Some(key.into()) },
                _ => Scope { bucket: uri.bucket().into(), prefix: String::new(), start_after: start_after.take() },
            };
            let mut keys = match self.some_keys(&scope).await {
                Ok(keys) => keys,
                Err(error @ SourceError::Dependency(_)) => return Err(error),
                // The credentials may list only a part of the bucket.
                Err(_) => Vec::new(),
            };
            let next = keys.first().map(|first| after_folder(first.uri.key(), &keys));
            if check != Check::Readable {
                keys.retain(|other| {
                    other.size_bytes <= MAX_CHECKED_BYTES
                        && (has_image_extension(other.uri.key()) || !has_image_extension(key))
                });
            }
            for other in evenly_spaced(&keys) {
                if !tried.insert(other.uri.clone()) {
                    continue;
                }
                let result = self.read(other, check).await;
                if matches!(result, Err(SourceError::Missing(_))) && !self.is_listed(&other.uri).await? {
                    continue;
                }
                if let Some(sample) = results.add(&other.uri, result) {
                    if matches!(sample, Sample::Readable) {
                        self.remember(other);
                    }
                    return Ok(sample);
                }
            }
            if part > 0 {
                let Some(next) = next else { break };
                start_after = Some(next);
            }
        }
        Ok(results.sum_up())
    }

    /// Returns the first keys of a scope that can be read according to the listing.
    async fn some_keys(&self, scope: &Scope) -> Result<Vec<ImageRef>, SourceError> {
        let mut keys = Vec::new();
        let mut pages = self.inner.pages(scope, None).take(MAX_SCOPE_PAGES);
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) if keys.is_empty() => return Err(error),
                // The keys of the first pages are enough.
                Err(_) => break,
            };
            let archived: HashSet<&ImageUri> = page.archived.iter().map(|(uri, _)| uri).collect();
            let readable = page.images.iter().filter(|image| image.size_bytes > 0 && !archived.contains(&image.uri));
            keys.extend(readable.cloned());
            if keys.len() >= MAX_SCOPE_KEYS || page.next == NextPage::End {
                break;
            }
        }
        Ok(keys)
    }

    /// Reads an object to its end. Keeps it in memory only if its bytes are checked.
    async fn read(&self, image: &ImageRef, check: Check<'_>) -> Result<(), SourceError> {
        match check {
            Check::Readable => {
                let opened = self.inner.open(&image.uri, None).await?;
                opened.body.try_for_each(|_| std::future::ready(Ok(()))).await
            }
            Check::Contents { doubtful_etag } => {
                let fetched = self.inner.fetch(image).await?;
                contents::problem(image, &fetched, doubtful_etag).await.map_or(Ok(()), Err)
            }
        }
    }

    async fn is_listed(&self, uri: &ImageUri) -> Result<bool, SourceError> {
        let scope = Scope { bucket: uri.bucket().into(), prefix: uri.key().into(), start_after: None };
        match self.inner.pages(&scope, None).next().await.transpose() {
            Ok(page) => Ok(page.is_some_and(|page| page.images.iter().any(|listed| listed.uri == *uri))),
            Err(error @ SourceError::Dependency(_)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn readable_other_than(&self, uri: &ImageUri) -> Option<ImageRef> {
        lock(&self.state).readable.clone().filter(|other| other.uri.bucket() == uri.bucket() && other.uri != *uri)
    }
}
