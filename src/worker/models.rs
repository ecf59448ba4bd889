//! The port for the models that a worker can use besides that of its settings.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::ModelRecord;
use crate::embed::{EmbedError, ImageEmbeddingProvider};

/// Makes providers from the settings of the worker.
#[async_trait]
pub trait WorkerModels: std::fmt::Debug + Send + Sync {
    /// Returns the provider of a model, with retries and verification; `None` if it is the model of the settings.
    ///
    /// # Errors
    /// [`EmbedError`] if the settings of the worker do not allow the model, or if it cannot be loaded.
    async fn provider(&self, model: &ModelRecord) -> Result<Option<Arc<dyn ImageEmbeddingProvider>>, EmbedError>;
}
