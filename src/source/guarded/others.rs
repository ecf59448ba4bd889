//! [`OtherObjects`]: reads other objects of the bucket to find out whose failure it is that one object cannot be read.

use std::collections::HashSet;
use std::mem::discriminant;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::sample::{Results, Sample, after_folder, evenly_spaced, never_readable, no_longer_readable};
use crate::domain::{ImageUri, OperatorError};
use crate::source::{ImageSource, NextPage, Scope, SourceError};

/// How long a result is used, so that a folder of unreadable objects does not double the number of requests.
const CHECK_TTL: Duration = Duration::from_secs(1);
/// Maximum number of top-level folders from which objects are read.
const MAX_FOLDERS: usize = 8;
/// Maximum number of keys and pages of one part of the listing from which the objects are chosen.
const MAX_SCOPE_KEYS: usize = 1_000;
const MAX_SCOPE_PAGES: usize = 8;

/// What is known about the other objects of the bucket.
pub(super) struct OtherObjects {
    inner: Arc<dyn ImageSource>,
    state: Mutex<State>,
    /// Held while objects are sampled, so that concurrent callers share one sample.
    sampling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The object that was read last: as long as it can be read, a refusal concerns other objects and not the whole
    /// bucket.
    readable: Option<ImageUri>,
    /// When `readable` was last read as a check.
    checked: Option<Instant>,
    /// The bucket of which no object could be read, and when that was found out.
    unreadable: Option<(Instant, String, OperatorError)>,
}

impl OtherObjects {
    pub(super) fn new(inner: Arc<dyn ImageSource>) -> Self {
        Self { inner, state: Mutex::default(), sampling: tokio::sync::Mutex::default() }
    }

    /// Records that an object was read.
    pub(super) fn remember(&self, uri: &ImageUri) {
        self.state().readable = Some(uri.clone());
    }

    /// Checks whether the service returns objects other than `uri`: the one that was read last, or else a sample. The
    /// listing alone is not enough, because a service can list while it cannot read. A refusal is an answer.
    ///
    /// # Errors
    /// Returns the dependency's error if the service fails for other objects too.
    pub(super) async fn check_service(&self, uri: &ImageUri) -> Result<(), SourceError> {
        if let Some(other) = self.readable_other_than(uri) {
            match self.read(&other).await {
                Err(error @ SourceError::Dependency(_)) => return Err(error),
                Err(SourceError::BrokenOff { .. }) => {}
                Ok(()) | Err(_) => return Ok(()),
            }
        }
        match self.sample(uri).await? {
            Sample::Failed(error) => Err(error),
            Sample::Readable | Sample::Refused { .. } | Sample::Empty => Ok(()),
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
            if self.state().checked.is_some_and(|checked| checked.elapsed() < CHECK_TTL) {
                return Ok(None);
            }
            match self.read(&other).await {
                Ok(()) => {
                    self.state().checked = Some(Instant::now());
                    return Ok(None);
                }
                // The other object was deleted, which is not a failure of the bucket.
                Err(SourceError::Missing(_)) if !self.is_listed(&other).await? => self.state().readable = None,
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
        if let Some((at, bucket, error)) = &self.state().unreadable
            && at.elapsed() < CHECK_TTL
            && bucket == uri.bucket()
        {
            return Ok(Some(error.clone().into()));
        }
        match self.sample(uri).await? {
            Sample::Refused { tried, last } => {
                let error = never_readable(uri.bucket(), tried + 1, &last);
                self.state().unreadable = Some((Instant::now(), uri.bucket().to_owned(), error.clone()));
                Ok(Some(error.into()))
            }
            Sample::Failed(error) => Err(error),
            Sample::Readable | Sample::Empty => Ok(None),
        }
    }

    /// Reads other objects until one can be read: neighbours of `uri` in its folder, then objects of the other
    /// folders.
    async fn sample(&self, uri: &ImageUri) -> Result<Sample, SourceError> {
        let key = uri.key();
        let folder = key.rfind('/').map_or("", |slash| &key[..=slash]);
        let (mut tried, mut results) = (HashSet::from([uri.clone()]), Results::default());
        let mut start_after = None;
        for part in 0..=MAX_FOLDERS {
            let scope = match part {
                0 => Scope { bucket: uri.bucket().into(), prefix: folder.into(), start_after: Some(key.into()) },
                _ => Scope { bucket: uri.bucket().into(), prefix: String::new(), start_after: start_after.take() },
            };
            let keys = match self.some_keys(&scope).await {
                Ok(keys) => keys,
                Err(error @ SourceError::Dependency(_)) => return Err(error),
                // The credentials may list only a part of the bucket.
                Err(_) => Vec::new(),
            };
            for other in evenly_spaced(&keys) {
                if !tried.insert(other.clone()) {
                    continue;
                }
                let result = self.read(other).await;
                if matches!(result, Err(SourceError::Missing(_))) && !self.is_listed(other).await? {
                    continue;
                }
                if let Some(sample) = results.add(other, result) {
                    if matches!(sample, Sample::Readable) {
                        self.remember(other);
                    }
                    return Ok(sample);
                }
            }
            if part > 0 {
                let Some(next) = keys.first().map(|first| after_folder(first.key(), &keys)) else { break };
                start_after = Some(next);
            }
        }
        Ok(results.sum_up())
    }

    /// Returns the first keys of a scope that can be read according to the listing.
    async fn some_keys(&self, scope: &Scope) -> Result<Vec<ImageUri>, SourceError> {
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
            keys.extend(readable.map(|image| image.uri.clone()));
            if keys.len() >= MAX_SCOPE_KEYS || page.next == NextPage::End {
                break;
            }
        }
        Ok(keys)
    }

    /// Reads an object to its end without keeping it in memory.
    async fn read(&self, uri: &ImageUri) -> Result<(), SourceError> {
        let opened = self.inner.open(uri, None).await?;
        opened.body.try_for_each(|_| std::future::ready(Ok(()))).await
    }

    async fn is_listed(&self, uri: &ImageUri) -> Result<bool, SourceError> {
        let scope = Scope { bucket: uri.bucket().into(), prefix: uri.key().into(), start_after: None };
        match self.inner.pages(&scope, None).next().await.transpose() {
            Ok(page) => Ok(page.is_some_and(|page| page.images.iter().any(|listed| listed.uri == *uri))),
            Err(error @ SourceError::Dependency(_)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn readable_other_than(&self, uri: &ImageUri) -> Option<ImageUri> {
        self.state().readable.clone().filter(|other| other.bucket() == uri.bucket() && other != uri)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
