//! The embedded index of a service, as a worker in another process uses it: only the service opens the index, and the
//! worker sends its records to the service. The caller supplies the connection ([`RecordsClient`]): this module knows
//! neither addresses nor tokens.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use super::{EnsureOutcome, ImageIndex, IndexError};
use crate::domain::wire::{RecordsReply, RecordsRequest, WireRecord};
use crate::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, DependencyError, FacetQuery, Facets,
    FailureKind, Hit, ImageId, ImageRecord, SearchQuery, Space,
};

/// The connection to the service: one request, one reply. Waits while the service is not reachable.
#[async_trait]
pub trait RecordsClient: Send + Sync + 'static {
    /// Sends a request about the collection of the connection.
    async fn send(&self, request: RecordsRequest) -> Result<RecordsReply, DependencyError>;
}

/// The embedded index of a service, used over a connection.
pub struct RemoteIndex {
    client: Arc<dyn RecordsClient>,
}

const NAME: &str = "embedded";
/// Records in one request: with vectors of a few thousand numbers and full metadata they fit into one body.
const MAX_RECORDS: usize = 64;

impl RemoteIndex {
    /// Creates an index that sends its requests over `client`.
    pub fn new(client: Arc<dyn RecordsClient>) -> Self {
        Self { client }
    }
}

/// The error for operations that only the service performs.
fn unsupported<T>(what: &str) -> Result<T, IndexError> {
    let detail = format!("{what} is not available to workers; only the service can do it");
    Err(IndexError::store_failed(NAME, FailureKind::Refused, detail))
}

#[async_trait]
impl ImageIndex for RemoteIndex {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Creates nothing: the service creates the collection before a worker gets work.
    async fn ensure_image_collection(
        &self,
        collection: &CollectionName,
        space: &Space,
    ) -> Result<EnsureOutcome, IndexError> {
        let info = self.describe(collection).await?;
        let info = info.ok_or_else(|| IndexError::UnknownCollection(collection.clone()))?;
        info.space.admits(space)?;
        Ok(EnsureOutcome::Existed)
    }

    async fn describe(&self, _: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        Ok(self.client.send(RecordsRequest::Describe).await?.collection)
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        unsupported("listing collections")
    }

    async fn upsert(&self, _: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        for chunk in records.chunks(MAX_RECORDS) {
            let records = chunk.iter().map(WireRecord::from).collect();
            let reply = self.client.send(RecordsRequest::Upsert { records }).await?;
            if let Some((id, reason)) = reply.refused {
                return Err(IndexError::Rejected { id, reason });
            }
        }
        Ok(())
    }

    async fn delete(&self, _: &CollectionName, _: &[ImageId]) -> Result<(), IndexError> {
        unsupported("removing records")
    }

    async fn search(&self, _: &CollectionName, _: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        unsupported("searching")
    }

    async fn get(&self, _: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(MAX_RECORDS) {
            let reply = self.client.send(RecordsRequest::Get { ids: chunk.to_vec() }).await?;
            for record in reply.records {
                found.push(
                    ImageRecord::try_from(record)
                        .map_err(|error| IndexError::store_failed(NAME, FailureKind::Failed, error.to_string()))?,
                );
            }
        }
        Ok(found)
    }

    async fn browse(&self, _: &CollectionName, _: &BrowseQuery) -> Result<BrowsePage, IndexError> {
        unsupported("listing records")
    }

    async fn facets(&self, _: &CollectionName, _: &FacetQuery) -> Result<Facets, IndexError> {
        unsupported("counting values")
    }

    async fn summary(&self, _: &CollectionName) -> Result<CollectionSummary, IndexError> {
        unsupported("summing up a collection")
    }

    fn scan(&self, _: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        stream::once(async { unsupported("scanning") }).boxed()
    }

    async fn drop_collection(&self, _: &CollectionName) -> Result<(), IndexError> {
        unsupported("dropping a collection")
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.client.send(RecordsRequest::Describe).await?;
        Ok(())
    }
}

impl fmt::Debug for RemoteIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteIndex").finish_non_exhaustive()
    }
}
