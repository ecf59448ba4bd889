//! Adopts a collection that a store has and the ledger does not know, because the ledger was lost: its records are recorded as
//! indexed objects, so that jobs skip them.

use std::sync::Arc;

use futures::StreamExt;

use crate::domain::{CollectionInfo, CollectionName, ImageId, ModelRecord, StoreSet, StoredImage};
use crate::index::{ImageIndex, IndexError};
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::service::Jobs;
use crate::ledger::{ObjectRow, objects};

/// Records that are read from the store, and recorded in one transaction.
const CHUNK: usize = 500;

/// What was adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The collection.
    pub collection: CollectionName,
    /// The store.
    pub store: &'static str,
    /// The model that the collection uses.
    pub model: ModelRecord,
    /// Number of images that the ledger knows now.
    pub adopted: u64,
    /// Number of records without a version of their object: the next job reads these objects again.
    pub without_version: u64,
    /// Number of records of another service, whose ids are not those of their URIs. They stay in the store and are found.
    pub foreign: u64,
}

impl Jobs {
    /// Records the records of a collection of one store as indexed objects. The store is the default one if `store` is `None`.
    ///
    /// # Errors
    /// [`JobsError::Conflict`] if the ledger has objects of the collection, or if the model of the settings makes vectors of
    /// another space; [`JobsError::Index`] if the store does not have the collection or does not answer;
    /// [`JobsError::CollectionBusy`] while a job uses it; [`JobsError::Invalid`] if the store is not known.
    pub async fn adopt(&self, name: &str, store: Option<&str>) -> Result<Adopted, JobsError> {
        let jobs = &self.0;
        let name = CollectionName::parse(name)?;
        let store = match store {
            None => jobs.stores.default_store(),
            Some(store) => jobs.stores.named(store).ok_or_else(|| {
                JobsError::Invalid("store", format!("must be one of {}, not `{store}`", jobs.stores.names()))
            })?,
        };
        if let Some(problem) = jobs.disk.problem() {
            return Err(JobsError::NoSpace(problem));
        }
        let _reserved = jobs.reserve(&name).await?;
        let collection = jobs.resolve(&name)?.physical;
        let info = store.describe(&collection).await?.ok_or_else(|| IndexError::UnknownCollection(name.clone()))?;
        let known = collection.clone();
        if jobs.ledger.read(move |db| objects::has_prefix(db, &known, "")).await? {
            let message = format!(
                "the ledger knows the collection `{name}` already; `glimpse verify --collection {name} --repair` records what it \
                 lacks, also after an adoption that was interrupted"
            );
            return Err(JobsError::Conflict("collection_known", message));
        }
        let model = jobs.model_of_settings(&name, store.name(), &info).await?;
        jobs.models.set(&collection, &model).await?;
        let mut adopted =
            Adopted { collection: name, store: store.name(), model, adopted: 0, without_version: 0, foreign: 0 };
        jobs.record_all(&collection, store, &info.space.name(), &mut adopted).await?;
        let Adopted { adopted: images, store, .. } = &adopted;
        tracing::info!(%collection, store, images, "a collection was adopted");
        Ok(adopted)
    }
}

impl JobService {
    /// Returns the model of the settings. Fails if it makes vectors of another space than that of the collection.
    async fn model_of_settings(
        &self,
        collection: &CollectionName,
        store: &str,
        info: &CollectionInfo,
    ) -> Result<ModelRecord, JobsError> {
        let models = self.models.models();
        let record = models.default_record();
        let space = match models.get(&record).await {
            Ok(model) => model.searches.space().await,
            Err(error) => Err(error),
        };
        let space = space.map_err(|error| JobsError::Model(self.models.error(collection, &record, error)))?;
        match info.space.admits(&space) {
            Ok(()) => Ok(record),
            Err(mismatch) => {
                let message = format!(
                    "the collection `{collection}` in {store} has vectors of `{}`, but the model of the settings makes vectors of \
                     `{}`: {}; set CLIP_MODEL and IMAGE_EMBEDDING_PROVIDER to the model with which it was made",
                    mismatch.stored, mismatch.offered, mismatch.reason
                );
                Err(JobsError::Conflict("space_mismatch", message))
            }
        }
    }

    async fn record_all(
        &self,
        collection: &CollectionName,
        store: &Arc<dyn ImageIndex>,
        space: &str,
        adopted: &mut Adopted,
    ) -> Result<(), JobsError> {
        let stores: StoreSet = [store.name()].into_iter().collect();
        let mut ids = store.scan(collection).chunks(CHUNK);
        while let Some(chunk) = ids.next().await {
            if self.drain.is_cancelled() {
                return Err(JobsError::Draining);
            }
            let chunk = chunk.into_iter().collect::<Result<Vec<ImageId>, IndexError>>()?;
            let mut rows = Vec::with_capacity(chunk.len());
            for StoredImage { id, payload } in store.payloads(collection, &chunk).await? {
                if payload.s3_uri.id() != id {
                    adopted.foreign += 1;
                } else if let Some(etag) = payload.etag {
                    let (uri, size_bytes) = (payload.s3_uri, payload.size_bytes);
                    rows.push(ObjectRow { uri, etag, size_bytes, space: space.to_owned(), stores: stores.clone() });
                } else {
                    adopted.without_version += 1;
                }
            }
            adopted.adopted += rows.len() as u64;
            let name = collection.clone();
            self.ledger.write(move |tx| objects::put_all(tx, &name, rows)).await?;
        }
        Ok(())
    }
}
