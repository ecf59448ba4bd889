//! [`Resilient`]: a store whose calls go through one guard.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{EnsureOutcome, ImageIndex, IndexError};
use crate::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, FacetQuery, Facets, Hit, ImageId,
    ImageRecord, SearchQuery, Space, StoredImage,
};
use crate::resilience::Guard;

/// A store whose calls are retried by the policy of its guard. Jobs and searches each have one, over the same adapter
/// and the same circuit breaker.
pub struct Resilient {
    inner: Arc<dyn ImageIndex>,
    guard: Guard,
}

impl Resilient {
    /// Wraps `inner`, so that its calls go through `guard`.
    pub fn new(inner: Arc<dyn ImageIndex>, guard: Guard) -> Self {
        Self { inner, guard }
    }
}

#[async_trait]
impl ImageIndex for Resilient {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn ensure_image_collection(
        &self,
        collection: &CollectionName,
        space: &Space,
    ) -> Result<EnsureOutcome, IndexError> {
        self.guard.call(|| self.inner.ensure_image_collection(collection, space)).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        self.guard.call(|| self.inner.describe(collection)).await
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        self.guard.call(|| self.inner.collections()).await
    }

    async fn upsert(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        self.guard.call(|| self.inner.upsert(collection, records)).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        self.guard.call(|| self.inner.delete(collection, ids)).await
    }

    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        self.guard.call(|| self.inner.search(collection, query)).await
    }

    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        self.guard.call(|| self.inner.get(collection, ids)).await
    }

    async fn payloads(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<StoredImage>, IndexError> {
        self.guard.call(|| self.inner.payloads(collection, ids)).await
    }

    async fn browse(&self, collection: &CollectionName, query: &BrowseQuery) -> Result<BrowsePage, IndexError> {
        self.guard.call(|| self.inner.browse(collection, query)).await
    }

    async fn facets(&self, collection: &CollectionName, query: &FacetQuery) -> Result<Facets, IndexError> {
        self.guard.call(|| self.inner.facets(collection, query)).await
    }

    async fn summary(&self, collection: &CollectionName) -> Result<CollectionSummary, IndexError> {
        self.guard.call(|| self.inner.summary(collection)).await
    }

    /// Not guarded: the adapter requests the pages, and the caller restarts a scan that fails.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        self.inner.scan(collection)
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.guard.call(|| self.inner.drop_collection(collection)).await
    }

    /// Not guarded: it makes many calls, and may take longer than the time limit of one call.
    async fn wait_until_indexed(
        &self,
        collection: &CollectionName,
        within: Duration,
    ) -> Result<Option<u64>, IndexError> {
        self.guard.reachable()?;
        self.inner.wait_until_indexed(collection, within).await
    }

    fn levels(&self) -> &'static [u32] {
        self.inner.levels()
    }

    async fn set_level(&self, collection: &CollectionName, level: Option<u32>) -> Result<(), IndexError> {
        self.guard.call(|| self.inner.set_level(collection, level)).await
    }

    /// Not guarded: a job ends also if the store is down.
    async fn finish_load(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.guard.reachable()?;
        self.inner.finish_load(collection).await
    }

    async fn is_settled(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        self.guard.call(|| self.inner.is_settled(collection)).await
    }

    async fn set_alias(&self, alias_of: &CollectionName, physical: &CollectionName) -> Result<(), IndexError> {
        self.guard.call(|| self.inner.set_alias(alias_of, physical)).await
    }

    /// One attempt: the caller needs the state at this moment.
    async fn ready(&self) -> Result<(), IndexError> {
        self.guard.reachable()?;
        self.inner.ready().await
    }
}

impl fmt::Debug for Resilient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resilient").field("guard", &self.guard).finish_non_exhaustive()
    }
}
