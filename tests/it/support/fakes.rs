//! Scripted ports for tests of the chain.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use glimpse::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, DependencyError, Embedding, FacetQuery,
    Facets, FailureKind, Hit, ImageId, ImageRecord, ImageRef, ImageUri, Probe, SearchQuery, Space,
};
use glimpse::embed::{EmbedError, ImageEmbeddingProvider};
use glimpse::imaging::{PreparedImage, Preprocessing};
use glimpse::index::{EnsureOutcome, ImageIndex, IndexError};
use glimpse::source::{Fetched, ImageSource, NewObject, Scope, SourceError};

use super::locked;

pub(crate) fn down(dependency: &str) -> DependencyError {
    DependencyError { dependency: dependency.into(), failure: FailureKind::Failed, detail: "on purpose".into() }
}

/// A bucket in memory.
#[derive(Default)]
pub(crate) struct MemorySource {
    pub(crate) objects: BTreeMap<String, Bytes>,
    pub(crate) fetching: AtomicUsize,
    pub(crate) max_fetching: AtomicUsize,
}

impl MemorySource {
    pub(crate) fn new(objects: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let objects = objects.into_iter().map(|(key, bytes)| (key, bytes.into())).collect();
        Self { objects, ..Self::default() }
    }

    pub(crate) fn refs(&self) -> Vec<ImageRef> {
        let to_ref = |(key, bytes): (&String, &Bytes)| ImageRef {
            uri: ImageUri::new("b", key),
            etag: Some("e".into()),
            size_bytes: bytes.len() as u64,
            modified: None,
        };
        self.objects.iter().map(to_ref).collect()
    }
}

#[async_trait]
impl ImageSource for MemorySource {
    fn list(&self, _: &Scope) -> BoxStream<'static, Result<ImageRef, SourceError>> {
        stream::iter(self.refs().into_iter().map(Ok)).boxed()
    }

    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError> {
        let now = self.fetching.fetch_add(1, Ordering::SeqCst) + 1;
        self.max_fetching.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.fetching.fetch_sub(1, Ordering::SeqCst);
        let bytes = self.objects.get(image.uri.key()).cloned();
        let bytes = bytes.ok_or_else(|| SourceError::Missing(image.uri.clone()))?;
        Ok(Fetched {
            bytes,
            etag: image.etag.clone(),
            modified: image.modified,
            content_type: None,
            content_encoding: None,
            metadata: BTreeMap::new(),
        })
    }

    async fn fetch_file(&self, _: &ImageUri, _: u64) -> Result<Fetched, SourceError> {
        Err(SourceError::Dependency(down("memory")))
    }

    async fn put(&self, _: &ImageUri, _: NewObject) -> Result<Option<String>, SourceError> {
        Err(SourceError::Dependency(down("memory")))
    }
}

/// A model of two numbers: the mean of red, and one. It refuses images whose first byte is 0, and batches with them.
pub(crate) struct MeanProvider {
    pub(crate) calls: Mutex<Vec<usize>>,
    /// Fails as a dependency after this number of calls…
    pub(crate) fails_after: usize,
    /// …until this number of calls.
    pub(crate) recovers_after: usize,
    /// How it fails.
    pub(crate) failure: FailureKind,
    /// Serves another model after this number of calls.
    pub(crate) changes_model_after: usize,
    pub(crate) delay: Duration,
}

impl Default for MeanProvider {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            fails_after: usize::MAX,
            recovers_after: usize::MAX,
            failure: FailureKind::Failed,
            changes_model_after: usize::MAX,
            delay: Duration::ZERO,
        }
    }
}

pub(crate) fn mean_space() -> Space {
    let probes = vec![Probe { name: "text:a".into(), vector: vec![1.0, 0.0] }];
    Space { model: "mean".into(), dimension: 2, preprocessing: "crop-8-bicubic".into(), probes }
}

#[async_trait]
impl ImageEmbeddingProvider for MeanProvider {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing::crop(8)
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let mut space = mean_space();
        if locked(&self.calls).len() > self.changes_model_after {
            space.probes[0].vector = vec![0.0, 1.0];
            space.model = "another".into();
        }
        Ok(Arc::new(space))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        tokio::time::sleep(self.delay).await;
        let calls = {
            let mut calls = locked(&self.calls);
            calls.push(images.len());
            calls.len()
        };
        if calls > self.fails_after && calls <= self.recovers_after {
            return Err(EmbedError::Dependency(DependencyError { failure: self.failure, ..down("mean") }));
        }
        if images.iter().any(|image| image.rgb[0] == 0) {
            return Err(EmbedError::Rejected("an image whose first byte is 0".into()));
        }
        let red = |image: &PreparedImage| f32::from(image.rgb[0]);
        images.iter().map(|image| Ok(Embedding::normalised(vec![red(image), 1.0], 2)?)).collect()
    }

    async fn embed_text(&self, _: &str) -> Result<Embedding, EmbedError> {
        Err(EmbedError::Unsupported)
    }
}

/// A store in memory that refuses some ids.
#[derive(Default)]
pub(crate) struct MemoryIndex {
    pub(crate) records: Mutex<BTreeMap<ImageId, ImageRecord>>,
    pub(crate) refuses: Vec<ImageId>,
    pub(crate) is_down: bool,
    /// `memory` if it is `None`.
    pub(crate) name_override: Option<&'static str>,
    /// The number of upserts that fail before the first succeeds.
    pub(crate) failures: AtomicUsize,
    /// Whether it fails because it refuses access.
    pub(crate) refuses_access: bool,
}

#[async_trait]
impl ImageIndex for MemoryIndex {
    fn name(&self) -> &'static str {
        self.name_override.unwrap_or("memory")
    }

    async fn ensure_image_collection(&self, _: &CollectionName, _: &Space) -> Result<EnsureOutcome, IndexError> {
        Ok(EnsureOutcome::Existed)
    }

    async fn describe(&self, _: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        Ok(None)
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        Ok(Vec::new())
    }

    async fn upsert(&self, _: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if self.is_down || fails {
            return Err(IndexError::Dependency(down(self.name())));
        }
        if self.refuses_access {
            return Err(IndexError::Dependency(DependencyError { failure: FailureKind::Refused, ..down(self.name()) }));
        }
        if let Some(refused) = records.iter().find(|record| self.refuses.contains(&record.id)) {
            return Err(IndexError::Rejected { id: refused.id, reason: "on purpose".into() });
        }
        let mut stored = locked(&self.records);
        stored.extend(records.iter().map(|record| (record.id, record.clone())));
        Ok(())
    }

    async fn delete(&self, _: &CollectionName, _: &[ImageId]) -> Result<(), IndexError> {
        Ok(())
    }

    async fn search(&self, _: &CollectionName, _: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        Ok(Vec::new())
    }

    async fn get(&self, _: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        let records = locked(&self.records);
        Ok(ids.iter().filter_map(|id| records.get(id).cloned()).collect())
    }

    async fn browse(&self, _: &CollectionName, _: &BrowseQuery) -> Result<BrowsePage, IndexError> {
        Ok(BrowsePage::default())
    }

    async fn facets(&self, _: &CollectionName, _: &FacetQuery) -> Result<Facets, IndexError> {
        Ok(Facets::default())
    }

    async fn summary(&self, _: &CollectionName) -> Result<CollectionSummary, IndexError> {
        Ok(CollectionSummary::default())
    }

    fn scan(&self, _: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        stream::empty().boxed()
    }

    async fn drop_collection(&self, _: &CollectionName) -> Result<(), IndexError> {
        Ok(())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

pub(crate) fn lanes(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}
