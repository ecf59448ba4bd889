//! Adopts a collection that a store has and the ledger does not know, because the ledger was lost: its records are recorded as
//! indexed objects, so that jobs skip them.

use std::sync::Arc;

use futures::StreamExt;
use rusqlite::Transaction;

use crate::domain::{CollectionInfo, CollectionName, Generation, ImageId, ModelRecord, StoreSet, StoredImage};
use crate::index::{ImageIndex, IndexError};
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::service::Jobs;
use crate::ledger::{ObjectRow, generations, objects};

/// Records that are read from the store, and recorded in one transaction.
const CHUNK: usize = 500;

/// What was adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The collection.
    pub collection: CollectionName,
    /// The number of its generation that was adopted.
    pub generation: u32,
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
    /// `name` is the name in the store. If it is the name of a generation, such as `birds-g2`, the collection is `birds`, unless
    /// `collection` has another one: `name` itself, or one that the name of a generation was made of.
    ///
    /// # Errors
    /// [`JobsError::Conflict`] if the ledger has objects of the collection, if the store has its first generation, too, or if
    /// the model of the settings makes vectors of another space; [`JobsError::Index`] if the store does not have the
    /// collection or does not answer;
    /// [`JobsError::CollectionBusy`] while a job uses it; [`JobsError::Invalid`] if the store is not known.
    pub async fn adopt(
        &self,
        name: &str,
        store: Option<&str>,
        collection_name: Option<&str>,
    ) -> Result<Adopted, JobsError> {
        let jobs = &self.0;
        let name = CollectionName::parse(name)?;
        let (owner, number) = owner(&name, collection_name)?;
        let store = match store {
            None => jobs.stores.default_store(),
            Some(store) => jobs.stores.named(store).ok_or_else(|| {
                JobsError::Invalid("store", format!("must be one of {}, not `{store}`", jobs.stores.names()))
            })?,
        };
        if let Some(problem) = jobs.disk.problem() {
            return Err(JobsError::NoSpace(problem));
        }
        let _reserved = jobs.reserve(&owner).await?;
        let collection = jobs.resolve(&name)?.physical;
        let info = store.describe(&collection).await?.ok_or_else(|| IndexError::UnknownCollection(name.clone()))?;
        if number > 1 {
            jobs.check_owner(&owner, &name, store).await?;
        }
        let known = collection.clone();
        if jobs.ledger.read(move |db| objects::has_prefix(db, &known, "")).await? {
            let message = format!(
                "the ledger knows the collection `{name}` already; `glimpse verify --collection {name} --repair` records what it \
                 lacks, also after an adoption that was interrupted"
            );
            return Err(JobsError::Conflict("collection_known", message));
        }
        if number == 1 && collection_name.is_none() {
            jobs.check_generations(&name, store).await?;
        }
        let model = jobs.model_of_settings(&name, store.name(), &info).await?;
        jobs.models.set(&collection, &model).await?;
        if number > 1 {
            let (owner, physical) = (owner.clone(), collection.clone());
            let adopt = move |tx: &Transaction<'_>| generations::adopt(tx, &owner, number, &physical);
            jobs.ledger.write(adopt).await?;
            jobs.reload_generations().await?;
        }
        let (generation, store_name) = (number, store.name());
        let mut adopted = Adopted {
            collection: owner,
            generation,
            store: store_name,
            model,
            adopted: 0,
            without_version: 0,
            foreign: 0,
        };
        jobs.record_all(&collection, store, &info.space.name(), &mut adopted).await?;
        let Adopted { adopted: images, store, .. } = &adopted;
        tracing::info!(%collection, store, images, "a collection was adopted");
        Ok(adopted)
    }
}

/// Returns the collection that a name in a store belongs to, and the number of its generation.
fn owner(name: &CollectionName, requested: Option<&str>) -> Result<(CollectionName, u32), JobsError> {
    let Some(requested) = requested else {
        return Ok(Generation::from_physical_name(name).unwrap_or_else(|| (name.clone(), 1)));
    };
    let owner = CollectionName::parse(requested)?;
    if owner == *name {
        return Ok((owner, 1));
    }
    if let Some(number) = Generation::number_in(&owner, name) {
        return Ok((owner, number));
    }
    let reason = format!(
        "must be `{name}` or a collection with a generation of this name, such as `birds` for `birds-g2`, not `{owner}`"
    );
    Err(JobsError::Invalid("collection", reason))
}

impl JobService {
    /// Fails if the store has later generations of a collection, unless the client names the collection.
    async fn check_generations(&self, name: &CollectionName, store: &Arc<dyn ImageIndex>) -> Result<(), JobsError> {
        let stored = store.collections().await?.into_iter().map(|info| info.name);
        let Some(other) = stored.into_iter().find(|other| Generation::number_in(name, other).is_some()) else {
            return Ok(());
        };
        let message = format!(
            "{} has `{name}` and `{other}`, which are two generations of one collection, and it is not known which one was used: to adopt \
             `{other}`, drop the other one first, for example with `glimpse collections drop {name}`; to adopt `{name}`: `glimpse \
             collections adopt {name} --as {name}`",
            store.name()
        );
        Err(JobsError::Conflict("several_generations", message))
    }

    /// Fails if a generation that the ledger does not know cannot become the current one of its collection.
    async fn check_owner(
        &self,
        owner: &CollectionName,
        physical: &CollectionName,
        store: &Arc<dyn ImageIndex>,
    ) -> Result<(), JobsError> {
        let name = owner.clone();
        let is_known = self
            .ledger
            .read(move |db| Ok(objects::has_prefix(db, &name, "")? || !generations::list(db, &name)?.is_empty()))
            .await?;
        if is_known {
            let message = format!(
                "the ledger knows the collection `{owner}` already, so that `{physical}` cannot be adopted as a generation of it; drop one of \
                 them, or adopt `{physical}` under its own name: `glimpse collections adopt {physical} --as {physical}`"
            );
            return Err(JobsError::Conflict("collection_known", message));
        }
        if store.describe(owner).await?.is_some() {
            let message = format!(
                "{} has `{owner}` and `{physical}`, which are two generations of one collection, and it is not known which one was used: \
                 drop the other one, for example with `glimpse collections drop {owner}`, or adopt `{physical}` under its own name: \
                 `glimpse collections adopt {physical} --as {physical}`",
                store.name()
            );
            return Err(JobsError::Conflict("several_generations", message));
        }
        Ok(())
    }

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
