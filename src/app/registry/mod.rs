//! The adapter of [`EmbeddingModels`]: loads the models of records, and holds a bounded number of them.

mod factory;
mod record;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::BuildError;
use crate::config::Settings;
use crate::domain::{DependencyError, FailureKind, InvalidModel, ModelRecord, ModelRequest};
use crate::embed::local::LocalProvider;
use crate::embed::{EmbedError, EmbeddingModel, EmbeddingModels, ProviderKind};
use crate::lock::lock;
use crate::resilience::{Retryable, WaitList};
use crate::shutdown::Shutdown;

use factory::{Adapters, Made, ModelFactory, Parts};

pub(super) use factory::unusable_provider;
pub(super) use record::{default_record, settings_of};

/// Maximum number of models that are held, also those of services, which need little memory.
const MAX_HELD: usize = 64;
/// How often a caller looks for room in memory, and the pause between.
const ROOM_TRIES: usize = 50;
const ROOM_PAUSE: Duration = Duration::from_millis(100);

/// The models that this process holds.
pub(super) struct ModelRegistry {
    factory: Box<dyn ModelFactory>,
    settings: Settings,
    default: ModelRecord,
    max_in_memory: NonZeroUsize,
    held: Mutex<Vec<Held>>,
    /// Held while a model is made, so that no two callers make the same one.
    making: tokio::sync::Mutex<()>,
}

struct Held {
    model: Arc<EmbeddingModel>,
    parts: Parts,
    used: Instant,
}

/// The networks of a model in this process. Models that differ only in the preparation of images share them.
type Networks = (String, String, Option<u32>);

fn networks(record: &ModelRecord) -> Option<Networks> {
    record.networks().map(|(model, precision, size)| (model.to_owned(), precision.to_owned(), size))
}

impl Held {
    /// Whether a caller holds the model or one of its providers.
    fn is_in_use(&self) -> bool {
        let EmbeddingModel { jobs, searches, .. } = &*self.model;
        Arc::strong_count(&self.model) > 1 || Arc::strong_count(jobs) > 1 || Arc::strong_count(searches) > 1
    }
}

impl ModelRegistry {
    /// Makes the model of the settings. If it is on this machine, it is loaded now.
    ///
    /// # Errors
    /// [`BuildError`]
    pub(super) async fn open(settings: &Settings, waiting: &WaitList, shutdown: &Shutdown) -> Result<Self, BuildError> {
        let factory = Adapters::new(settings, waiting);
        let default = record::default_record(settings);
        let made = factory.make_default(shutdown).await?;
        let registry = Self::new(Box::new(factory), settings.clone(), default.clone());
        registry.insert(&default, made);
        Ok(registry)
    }

    fn new(factory: Box<dyn ModelFactory>, settings: Settings, default: ModelRecord) -> Self {
        let max_in_memory = NonZeroUsize::new(settings.embed.glimpse_models_in_memory).unwrap_or(NonZeroUsize::MIN);
        let (held, making) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { factory, settings, default, max_in_memory, held, making }
    }

    fn find(&self, record: &ModelRecord) -> Option<Arc<EmbeddingModel>> {
        let mut held = lock(&self.held);
        let found = held.iter_mut().find(|held| held.model.record == *record)?;
        found.used = Instant::now();
        Some(found.model.clone())
    }

    async fn find_or_make(&self, record: &ModelRecord) -> Result<Arc<EmbeddingModel>, EmbedError> {
        if !self.can_fit(record) {
            return Err(never_fits());
        }
        for _ in 0..ROOM_TRIES {
            if let Some(found) = self.find(record) {
                return Ok(found);
            }
            let making = self.making.lock().await;
            // Another caller may have made it while this one waited.
            if let Some(found) = self.find(record) {
                return Ok(found);
            }
            if self.make_room(record) {
                let shared = self.shared(record);
                return Ok(self.insert(record, self.factory.make(record, shared).await?));
            }
            drop(making);
            tokio::time::sleep(ROOM_PAUSE).await;
        }
        Err(self.full())
    }

    fn insert(&self, record: &ModelRecord, made: Made) -> Arc<EmbeddingModel> {
        let Made { jobs, searches, parts } = made;
        let model = Arc::new(EmbeddingModel { record: record.clone(), jobs, searches });
        lock(&self.held).push(Held { model: model.clone(), parts, used: Instant::now() });
        model
    }

    /// Returns a held model with the same networks.
    fn shared(&self, record: &ModelRecord) -> Option<LocalProvider> {
        let networks_wanted = networks(record)?;
        let held = lock(&self.held);
        let shared = held.iter().find(|held| networks(&held.model.record).as_ref() == Some(&networks_wanted));
        shared.and_then(|held| held.parts.local.clone())
    }

    /// Whether there is ever room for a model: that of the settings is always in memory.
    fn can_fit(&self, record: &ModelRecord) -> bool {
        let (wanted, pinned) = (networks(record), networks(&self.default));
        wanted.is_none() || pinned.is_none() || wanted == pinned || self.max_in_memory.get() > 1
    }

    /// Drops models that are not in use until there is room for this one; `false` if too many are in use.
    fn make_room(&self, record: &ModelRecord) -> bool {
        let mut held = lock(&self.held);
        let now = Instant::now();
        for model in held.iter_mut().filter(|held| held.is_in_use()) {
            model.used = now;
        }
        if held.len() >= MAX_HELD {
            let idle =
                held.iter().enumerate().filter(|(_, held)| held.model.record != self.default && !held.is_in_use());
            let Some((at, _)) = idle.min_by_key(|(_, held)| held.used) else { return false };
            held.swap_remove(at);
        }
        let Some(wanted) = networks(record) else { return true };
        loop {
            let mut in_memory: Vec<Networks> = held.iter().filter_map(|held| networks(&held.model.record)).collect();
            in_memory.sort_unstable();
            in_memory.dedup();
            if in_memory.contains(&wanted) || in_memory.len() < self.max_in_memory.get() {
                return true;
            }
            let uses = |wanted: &Networks| {
                let wanted = wanted.clone();
                move |held: &&Held| networks(&held.model.record).as_ref() == Some(&wanted)
            };
            let pinned = networks(&self.default);
            let idle = in_memory.iter().filter(|candidate| {
                Some(*candidate) != pinned.as_ref() && !held.iter().filter(uses(candidate)).any(Held::is_in_use)
            });
            let oldest = idle.min_by_key(|candidate| held.iter().filter(uses(candidate)).map(|held| held.used).max());
            let Some(oldest) = oldest.cloned() else { return false };
            tracing::info!(model = oldest.0, "the model is dropped from memory, because another one is needed");
            held.retain(|held| networks(&held.model.record).as_ref() != Some(&oldest));
        }
    }

    /// Drops a model that cannot be used, so that the next caller tries again.
    fn remove(&self, model: &Arc<EmbeddingModel>) {
        lock(&self.held).retain(|held| !Arc::ptr_eq(&held.model, model));
    }

    fn full(&self) -> EmbedError {
        let detail = format!(
            "{} models are in memory and in use; GLIMPSE_MODELS_IN_MEMORY allows no more: try again, or raise it",
            self.max_in_memory
        );
        let (dependency, retry_after) = (ProviderKind::Local.name().to_owned(), Duration::from_secs(5));
        DependencyError { dependency, failure: FailureKind::Busy { retry_after }, detail }.into()
    }
}

fn never_fits() -> EmbedError {
    let detail =
        "GLIMPSE_MODELS_IN_MEMORY is 1, and the model of the settings is always in memory; set it to 2 or more";
    record::unusable(detail.to_owned())
}

#[async_trait]
impl EmbeddingModels for ModelRegistry {
    fn default_record(&self) -> ModelRecord {
        self.default.clone()
    }

    async fn get(&self, record: &ModelRecord) -> Result<Arc<EmbeddingModel>, EmbedError> {
        let model = self.find_or_make(record).await?;
        // The model of the settings was loaded at the start, or is being downloaded: its calls say so.
        if networks(record).is_some() && *record != self.default {
            // Waits for a model that is being loaded, for at most some seconds.
            if let Err(error) = model.searches.space().await {
                if !error.is_retryable() {
                    self.remove(&model);
                }
                return Err(error);
            }
        }
        Ok(model)
    }

    fn max_in_memory(&self) -> NonZeroUsize {
        self.max_in_memory
    }

    fn resolve(&self, base: &ModelRecord, request: &ModelRequest) -> Result<ModelRecord, InvalidModel> {
        record::resolve(&self.settings, base, request)
    }
}

impl std::fmt::Debug for ModelRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held: Vec<String> = lock(&self.held).iter().map(|held| held.model.record.to_string()).collect();
        f.debug_struct("ModelRegistry").field("held", &held).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
