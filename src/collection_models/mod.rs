//! The model of each collection: the one that the ledger has recorded, or that of the settings. A collection goes on with
//! the model it was made with, also if the settings name another one meanwhile.

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{CollectionInfo, CollectionName, GenerationState, ModelRecord, Space};
use crate::embed::{EmbedError, EmbeddingModel, EmbeddingModels};
use crate::index::Stores;
use crate::ledger::{Ledger, LedgerError, collection_models, objects};
use crate::lock::lock;

pub use error::{ModelError, RecordedModel};

/// The pause between two comparisons of the collections with the model of the settings, until every store has answered.
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// How long a comparison waits for a store.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a note has the failure of a model: it may have come back since.
const FAILURE_AGE: Duration = Duration::from_mins(10);
/// The pause while the model of the settings cannot be used.
const MODEL_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The models of collections. Every function takes the name of a collection in the stores, so each generation of a collection
/// has a model of its own. Clones share it.
#[derive(Clone, Debug)]
pub struct CollectionModels(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ledger: Ledger,
    models: Arc<dyn EmbeddingModels>,
    stores: Stores,
    /// As in the ledger.
    recorded: Mutex<BTreeMap<CollectionName, ModelRecord>>,
    /// Why the last use of a model for searches has failed, and when.
    failures: Mutex<BTreeMap<CollectionName, (String, Instant)>>,
}

impl CollectionModels {
    /// Reads the records of all collections.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read.
    pub async fn open(ledger: Ledger, models: Arc<dyn EmbeddingModels>, stores: Stores) -> Result<Self, LedgerError> {
        let recorded = ledger.read(collection_models::all).await?.into_iter().collect();
        let (recorded, failures) = (Mutex::new(recorded), Mutex::default());
        Ok(Self(Arc::new(Shared { ledger, models, stores, recorded, failures })))
    }

    /// Returns the models that this process can use.
    pub fn models(&self) -> &Arc<dyn EmbeddingModels> {
        &self.0.models
    }

    /// Returns the record of the model of a collection. A collection without a record uses the model of the settings.
    pub fn record(&self, collection: &CollectionName) -> ModelRecord {
        let recorded = lock(&self.0.recorded).get(collection).cloned();
        recorded.unwrap_or_else(|| self.0.models.default_record())
    }

    /// Returns the recorded model of a collection, and whether it is that of the settings.
    pub fn recorded(&self, collection: &CollectionName) -> Option<(ModelRecord, bool)> {
        let record = lock(&self.0.recorded).get(collection).cloned()?;
        let is_default = record == self.0.models.default_record();
        Some((record, is_default))
    }

    /// Returns the model of a collection, and loads it if necessary. A model in a service may be down.
    ///
    /// # Errors
    /// [`ModelError`] if it cannot be loaded.
    pub async fn get(&self, collection: &CollectionName) -> Result<Arc<EmbeddingModel>, ModelError> {
        let record = self.record(collection);
        let error = match self.0.models.get(&record).await {
            Ok(model) => return Ok(model),
            Err(error) => self.error(collection, &record, error),
        };
        // The folder of the model was moved, or a service has replaced it.
        match (&error, self.fitting_default(collection).await) {
            (ModelError::Recorded(_), Some(default)) => {
                tracing::info!(%collection, model = %default.record, "the model of the settings replaces an equal one");
                if let Err(error) = self.set(collection, &default.record).await {
                    tracing::warn!(%collection, %error, "the model of a collection cannot be recorded");
                }
                Ok(default)
            }
            (ModelError::Default(_) | ModelError::Recorded(_), _) => Err(error),
        }
    }

    /// Returns the model of the settings, if it makes vectors of the space that the collection has in every store.
    async fn fitting_default(&self, collection: &CollectionName) -> Option<Arc<EmbeddingModel>> {
        let default = self.0.models.get(&self.0.models.default_record()).await.ok()?;
        let space = default.searches.space().await.ok()?;
        let infos = self.0.stores.describe_all(collection, STORE_TIMEOUT).await;
        let fits = !infos.is_empty() && infos.iter().all(|info| info.space.admits(&space).is_ok());
        fits.then_some(default)
    }

    /// Returns the model of a collection with its space, for a search.
    ///
    /// # Errors
    /// [`ModelError`] if it cannot be loaded or reached.
    pub async fn for_search(
        &self,
        collection: &CollectionName,
    ) -> Result<(Arc<EmbeddingModel>, Arc<Space>), ModelError> {
        let found = self.with_space(collection).await;
        let mut failures = lock(&self.0.failures);
        match &found {
            Err(ModelError::Recorded(error)) if !error.is_busy() => {
                failures.insert(collection.clone(), (error.for_client(), Instant::now()));
            }
            Err(ModelError::Recorded(_)) => {}
            Ok(_) | Err(ModelError::Default(_)) => drop(failures.remove(collection)),
        }
        found
    }

    async fn with_space(&self, collection: &CollectionName) -> Result<(Arc<EmbeddingModel>, Arc<Space>), ModelError> {
        let model = self.get(collection).await?;
        let space = model.searches.space().await.map_err(|error| self.error(collection, &model.record, error))?;
        Ok((model, space))
    }

    /// Returns the error of a model that names the collection, if it is not the model of the settings.
    pub fn error(&self, collection: &CollectionName, model: &ModelRecord, error: EmbedError) -> ModelError {
        if *model == self.0.models.default_record() {
            return ModelError::Default(error);
        }
        let generations = self.0.stores.generations();
        let (physical, collection, model) = (collection, generations.owner(collection), model.clone());
        let all = generations.list(&collection);
        let has = |state| all.iter().any(|one| one.state == state);
        let (has_previous, has_ready) = (has(GenerationState::Previous), has(GenerationState::Ready));
        let other = all.iter().find(|one| one.physical == *physical && one.state != GenerationState::Current);
        let generation = other.map(|one| one.number);
        ModelError::Recorded(Box::new(RecordedModel { collection, model, generation, has_previous, has_ready, error }))
    }

    /// Records the model of a collection.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be written.
    pub async fn set(&self, collection: &CollectionName, model: &ModelRecord) -> Result<(), LedgerError> {
        if lock(&self.0.recorded).get(collection) == Some(model) {
            return Ok(());
        }
        let (name, record) = (collection.clone(), model.clone());
        self.0.ledger.write(move |tx| collection_models::put(tx, &name, &record)).await?;
        self.remember(collection, model);
        Ok(())
    }

    /// Uses this model for a collection whose row the ledger has.
    pub(crate) fn remember(&self, collection: &CollectionName, model: &ModelRecord) {
        lock(&self.0.recorded).insert(collection.clone(), model.clone());
    }

    /// Forgets the model of a collection whose row the ledger has removed.
    pub(crate) fn forget(&self, collection: &CollectionName) {
        lock(&self.0.recorded).remove(collection);
        lock(&self.0.failures).remove(collection);
    }

    /// Returns a sentence for each collection whose current generation uses another model than that of the settings: what changes
    /// that, and why the model could not be used the last time.
    pub fn notes(&self) -> Vec<(CollectionName, String)> {
        let generations = self.0.stores.generations();
        let note = |(collection, model): (CollectionName, ModelRecord)| {
            let all = generations.list(&collection);
            let current = all.iter().find(|one| one.state == GenerationState::Current);
            let physical = current.map_or(&collection, |one| &one.physical);
            let failure = lock(&self.0.failures).get(physical).filter(|(_, at)| at.elapsed() < FAILURE_AGE).cloned();
            let ready = all.iter().find(|one| one.state == GenerationState::Ready);
            let change = match ready {
                Some(ready) => {
                    format!("generation {} is ready: `glimpse collections switch {collection}`", ready.number)
                }
                None => format!("`glimpse collections rebuild {collection}` changes it"),
            };
            let note = match failure {
                Some((failure, _)) => failure,
                None => format!(
                    "the collection `{collection}` uses the model {model}, and not that of the settings; {change}"
                ),
            };
            (collection, note)
        };
        self.others().into_iter().map(note).collect()
    }

    /// Tries the models of services once, so that [`Self::notes`] knows those that cannot be used. A model in this process would
    /// have to be loaded.
    async fn try_services(&self) {
        let recorded = lock(&self.0.recorded).clone();
        for (collection, model) in recorded {
            let is_current = self.0.stores.generations().visible_name(&collection).is_some();
            if is_current && model.networks().is_none() && model != self.0.models.default_record() {
                tokio::time::timeout(STORE_TIMEOUT, self.for_search(&collection)).await.ok();
            }
        }
    }

    /// Returns the collections whose current generation uses another model than that of the settings.
    pub fn others(&self) -> Vec<(CollectionName, ModelRecord)> {
        let default = self.0.models.default_record();
        let recorded = lock(&self.0.recorded);
        let others = recorded.iter().filter(|(_, model)| **model != default);
        let visible = |(collection, model): (&CollectionName, &ModelRecord)| {
            Some((self.0.stores.generations().visible_name(collection)?, model.clone()))
        };
        others.filter_map(visible).collect()
    }

    /// Compares the collections of all stores with the model of the settings once, and logs those that use another model.
    /// Waits for the model and for stores that are down, until `end`.
    pub async fn compare_with_settings(&self, end: CancellationToken) {
        end.run_until_cancelled(async {
            let mut logged = BTreeSet::new();
            loop {
                let is_complete = self.compare_once().await;
                self.try_services().await;
                for (collection, note) in self.notes() {
                    if logged.insert(collection.clone()) {
                        tracing::warn!(%collection, "{note}");
                    }
                }
                match is_complete {
                    Ok(true) => break,
                    Ok(false) => tokio::time::sleep(RETRY_DELAY).await,
                    Err(error) => {
                        tracing::warn!(%error, "the model of a collection cannot be recorded; it is tried again");
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                }
            }
            if let Err(error) = self.warn_of_unknown_images().await {
                tracing::warn!(%error, "the images of the stores cannot be compared with the ledger");
            }
        })
        .await;
    }

    /// Logs a warning for each collection whose images the ledger does not know: the ledger may have been lost.
    async fn warn_of_unknown_images(&self) -> Result<(), LedgerError> {
        for (store, answer) in self.0.stores.statuses(STORE_TIMEOUT).await {
            for CollectionInfo { name, count, .. } in answer.unwrap_or_default() {
                let collection = name.clone();
                if count > 0 && !self.0.ledger.read(move |db| objects::has_prefix(db, &collection, "")).await? {
                    tracing::warn!(
                        "the store {store} has the collection `{name}` with {count} images, and the ledger knows none of them; if the \
                         ledger was lost, `glimpse collections adopt {name}` records them, otherwise a job embeds them again"
                    );
                }
            }
        }
        Ok(())
    }

    /// Returns whether every store has answered.
    async fn compare_once(&self) -> Result<bool, LedgerError> {
        let default = self.0.models.default_record();
        let space = loop {
            let model = match self.0.models.get(&default).await {
                Ok(model) => model.searches.space().await,
                Err(error) => Err(error),
            };
            match model {
                Ok(space) => break space,
                Err(_) => tokio::time::sleep(MODEL_RETRY_DELAY).await,
            }
        };
        let mut infos: BTreeMap<CollectionName, Vec<CollectionInfo>> = BTreeMap::new();
        let mut is_complete = true;
        for (_, answer) in self.0.stores.statuses(STORE_TIMEOUT).await {
            is_complete &= answer.is_ok();
            for info in answer.unwrap_or_default() {
                infos.entry(info.name.clone()).or_default().push(info);
            }
        }
        for (collection, infos) in infos {
            // Another record can describe the same model: a folder was moved, or a service serves it now.
            if infos.iter().all(|info| info.space.admits(&space).is_ok()) {
                self.set(&collection, &default).await?;
            }
        }
        Ok(is_complete)
    }
}
