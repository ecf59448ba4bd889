//! The port [`EmbeddingModels`]: the models that this process can use, by their records.

use std::fmt::{self, Debug};
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use super::{EmbedError, ImageEmbeddingProvider};
use crate::domain::{InvalidModel, ModelRecord, ModelRequest};

/// One model, with the layers for its two users. While it or one of its two providers is held, it stays in memory.
pub struct EmbeddingModel {
    /// Its record.
    pub record: ModelRecord,
    /// For jobs: waits and retries while the provider is down.
    pub jobs: Arc<dyn ImageEmbeddingProvider>,
    /// For searches: answers or fails quickly, and caches the vectors of texts of this model.
    pub searches: Arc<dyn ImageEmbeddingProvider>,
}

impl Debug for EmbeddingModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingModel").field("record", &self.record).finish_non_exhaustive()
    }
}

/// The models that this process can use.
#[async_trait]
pub trait EmbeddingModels: Send + Sync + Debug {
    /// Returns the record of the model of the settings: new collections use it.
    fn default_record(&self) -> ModelRecord;

    /// Returns the model, and loads it if necessary; one caller loads for all. A failure is not cached. At most
    /// `GLIMPSE_MODELS_IN_MEMORY` models of this process are in memory; the one that was idle for the longest is dropped
    /// first. The model of the settings is always in memory. A model in a service may be down: its calls say so.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the model cannot be loaded, its provider is not configured, or every other model is in
    /// use.
    async fn get(&self, record: &ModelRecord) -> Result<Arc<EmbeddingModel>, EmbedError>;

    /// Returns the maximum number of models of this process that are in memory.
    fn max_in_memory(&self) -> NonZeroUsize;

    /// Returns the record of the model that a request describes: what it leaves out comes from `base`.
    ///
    /// # Errors
    /// [`InvalidModel`] if a value is not allowed, or the provider is not configured, with the configured ones.
    fn resolve(&self, base: &ModelRecord, request: &ModelRequest) -> Result<ModelRecord, InvalidModel>;
}
