//! Reads all records of a collection with their vectors, for files outside the service.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::collections::duplicates::find_store;
use crate::domain::{CollectionName, ImageId, ImageRecord, ModelRecord, Space};
use crate::index::several_stores::Resolved;
use crate::index::{ImageIndex, IndexError};
use crate::jobs::error::JobsError;
use crate::jobs::service::Jobs;

/// Records that are read from a store at a time.
const CHUNK: usize = 128;
/// Chunks that are read while the client is still receiving.
const CHUNKS_AHEAD: usize = 2;
/// Maximum number of exports at the same time.
const MAX_EXPORTS: usize = 2;

static EXPORTS: Semaphore = Semaphore::const_new(MAX_EXPORTS);

/// What all records of an export have in common.
#[derive(Clone, Debug)]
pub struct ExportHead {
    /// The collection.
    pub collection: CollectionName,
    /// The number of the generation.
    pub generation: u32,
    /// The store that is read.
    pub store: &'static str,
    /// The model of the collection, if it is recorded.
    pub model: Option<ModelRecord>,
    /// The space of the vectors.
    pub space: Space,
    /// Number of records at the begin.
    pub images: u64,
}

impl Jobs {
    /// Returns the records of a collection in the order of their ids, from one store: by default the first one that has the
    /// collection. Records that are written or removed meanwhile are returned or not. The reading stops when the stream is
    /// dropped.
    ///
    /// # Errors
    /// [`JobsError::Index`] if the collection or the generation does not exist, or the store does not answer;
    /// [`JobsError::Invalid`] if the store is not known; [`JobsError::Busy`] if too many exports run.
    pub async fn export(
        &self,
        name: &str,
        generation: Option<u32>,
        provider: Option<&str>,
    ) -> Result<(ExportHead, impl Stream<Item = Result<Vec<ImageRecord>, JobsError>> + Send + use<>), JobsError> {
        let stores = &self.0.stores;
        let Resolved { name, number, physical } =
            stores.generations().resolve(&CollectionName::parse(name)?, generation)?;
        let (store, _) = find_store(stores, &physical, provider).await?;
        let info = store.describe(&physical).await?.ok_or_else(|| IndexError::UnknownCollection(name.clone()))?;
        let permit = EXPORTS.try_acquire().map_err(|_| {
            JobsError::Busy(format!("{MAX_EXPORTS} exports are running; try again after the end of one"))
        })?;
        let head = ExportHead {
            collection: name,
            generation: number,
            store: store.name(),
            model: self.0.models.recorded(&physical).map(|(model, _)| model),
            space: info.space,
            images: info.count,
        };
        let (sender, received) = mpsc::channel(CHUNKS_AHEAD);
        let closing = self.closing();
        self.0.tasks.spawn(async move {
            let _permit = permit;
            let outcome = tokio::select! {
                outcome = read(&store, &physical, &sender) => outcome.map_err(JobsError::Index),
                () = sender.closed() => return,
                () = closing => Err(JobsError::Draining),
            };
            if let Err(error) = outcome {
                // Sending fails if the client has gone away.
                drop(sender.send(Err(error)).await);
            }
        });
        Ok((head, ReceiverStream::new(received)))
    }
}

type Sender = mpsc::Sender<Result<Vec<ImageRecord>, JobsError>>;

async fn read(store: &Arc<dyn ImageIndex>, collection: &CollectionName, sender: &Sender) -> Result<(), IndexError> {
    let mut ids = store.scan(collection).chunks(CHUNK);
    while let Some(chunk) = ids.next().await {
        let chunk = chunk.into_iter().collect::<Result<Vec<ImageId>, IndexError>>()?;
        let mut records = store.get(collection, &chunk).await?;
        records.sort_unstable_by_key(|record| record.id);
        if sender.send(Ok(records)).await.is_err() {
            break;
        }
    }
    Ok(())
}
