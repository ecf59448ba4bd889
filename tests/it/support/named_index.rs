//! A store with another name, which can be switched off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use glimpse::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, FacetQuery, Facets, Hit, ImageId,
    ImageRecord, SearchQuery, Space,
};
use glimpse::index::embedded::EmbeddedIndex;
use glimpse::index::{EnsureOutcome, ImageIndex, IndexError};
use tempfile::TempDir;

use super::fakes::down;

/// An embedded index with a folder of its own, as if it were another store.
pub(crate) struct NamedIndex {
    name: &'static str,
    inner: EmbeddedIndex,
    off: AtomicBool,
    _folder: TempDir,
}

impl NamedIndex {
    pub(crate) fn new(name: &'static str) -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let inner = EmbeddedIndex::open(folder.path()).unwrap();
        Arc::new(Self { name, inner, off: AtomicBool::new(false), _folder: folder })
    }

    pub(crate) fn switch(&self, on: bool) {
        self.off.store(!on, Ordering::SeqCst);
    }

    fn up(&self) -> Result<&EmbeddedIndex, IndexError> {
        if self.off.load(Ordering::SeqCst) { Err(down(self.name).into()) } else { Ok(&self.inner) }
    }
}

#[async_trait]
impl ImageIndex for NamedIndex {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn ensure_image_collection(
        &self,
        collection: &CollectionName,
        space: &Space,
    ) -> Result<EnsureOutcome, IndexError> {
        self.up()?.ensure_image_collection(collection, space).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        self.up()?.describe(collection).await
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        self.up()?.collections().await
    }

    async fn upsert(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        self.up()?.upsert(collection, records).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        self.up()?.delete(collection, ids).await
    }

    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        self.up()?.search(collection, query).await
    }

    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        self.up()?.get(collection, ids).await
    }

    async fn browse(&self, collection: &CollectionName, query: &BrowseQuery) -> Result<BrowsePage, IndexError> {
        self.up()?.browse(collection, query).await
    }

    async fn facets(&self, collection: &CollectionName, query: &FacetQuery) -> Result<Facets, IndexError> {
        self.up()?.facets(collection, query).await
    }

    async fn summary(&self, collection: &CollectionName) -> Result<CollectionSummary, IndexError> {
        self.up()?.summary(collection).await
    }

    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        match self.up() {
            Ok(inner) => inner.scan(collection),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        self.up()?.drop_collection(collection).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.up()?.ready().await
    }
}
