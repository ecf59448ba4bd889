//! The embedded index of a service, for a worker elsewhere: only the service opens it, the worker sends its records. Speaks
//! through a door that whoever composes it gives: this module knows no addresses and no tokens.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use super::{Ensured, ImageIndex, IndexError};
use crate::domain::wire::{RecordsReply, RecordsRequest, WireRecord};
use crate::domain::{
    CollectionInfo, CollectionName, DependencyError, Hit, ImageId, ImageRecord, SearchQuery, Space, Trouble,
};

/// The way to the service: one request, one reply. Waits for a service that is away.
#[async_trait]
pub trait RecordsDoor: Send + Sync + 'static {
    /// Asks the embedded index, of the one collection that the door leads to.
    async fn ask(&self, request: RecordsRequest) -> Result<RecordsReply, DependencyError>;
}

/// The embedded index behind a door.
pub struct RemoteIndex {
    door: Arc<dyn RecordsDoor>,
}

/// Records in one request. With vectors of some thousand numbers and full metadata they fit into one body.
const MAX_RECORDS: usize = 64;

impl RemoteIndex {
    /// The index behind `door`.
    pub fn new(door: Arc<dyn RecordsDoor>) -> Self {
        Self { door }
    }
}

/// What a worker never asks: the service does it itself.
fn not_here<T>(what: &str) -> Result<T, IndexError> {
    let detail = format!("{what} is for the service itself, not for its workers");
    Err(DependencyError { dependency: "embedded".to_owned(), trouble: Trouble::Refused, detail }.into())
}

fn invalid(detail: impl fmt::Display) -> IndexError {
    let detail = detail.to_string();
    DependencyError { dependency: "embedded".to_owned(), trouble: Trouble::Failed, detail }.into()
}

#[async_trait]
impl ImageIndex for RemoteIndex {
    fn name(&self) -> &'static str {
        "embedded"
    }

    /// The service has made it before it gave out work.
    async fn ensure_image_collection(&self, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError> {
        let info = self.describe(collection).await?;
        let info = info.ok_or_else(|| IndexError::UnknownCollection(collection.clone()))?;
        info.space.admits(space)?;
        Ok(Ensured::Existed)
    }

    async fn describe(&self, _: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        Ok(self.door.ask(RecordsRequest::Describe).await?.collection)
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        not_here("listing collections")
    }

    async fn upsert(&self, _: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        for some in records.chunks(MAX_RECORDS) {
            let records = some.iter().map(WireRecord::from).collect();
            let reply = self.door.ask(RecordsRequest::Upsert { records }).await?;
            if let Some((id, reason)) = reply.refused {
                return Err(IndexError::Rejected { id, reason });
            }
        }
        Ok(())
    }

    async fn delete(&self, _: &CollectionName, _: &[ImageId]) -> Result<(), IndexError> {
        not_here("removing records")
    }

    async fn search(&self, _: &CollectionName, _: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        not_here("searching")
    }

    async fn get(&self, _: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(MAX_RECORDS) {
            let reply = self.door.ask(RecordsRequest::Get { ids: some.to_vec() }).await?;
            for record in reply.records {
                found.push(ImageRecord::try_from(record).map_err(invalid)?);
            }
        }
        Ok(found)
    }

    fn scan(&self, _: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        stream::once(async { not_here("scanning") }).boxed()
    }

    async fn drop_collection(&self, _: &CollectionName) -> Result<(), IndexError> {
        not_here("dropping a collection")
    }

    async fn ready(&self) -> Result<(), IndexError> {
        self.door.ask(RecordsRequest::Describe).await?;
        Ok(())
    }
}

impl fmt::Debug for RemoteIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteIndex").finish_non_exhaustive()
    }
}
