//! The model of a job: the one that its collection was made with.

use std::sync::Arc;
use std::time::Duration;

use crate::collection_models::ModelError;
use crate::domain::{CollectionName, Space};
use crate::embed::EmbeddingModel;
use crate::jobs::JobService;
use crate::jobs::job_failure::JobFailure;
use crate::resilience::Retryable;

/// The name of the dependency in the status of a job that waits for its model.
const MODEL: &str = "model";
/// The pause between two attempts, if the error names none.
const RETRY_DELAY: Duration = Duration::from_secs(5);

impl JobService {
    /// Returns the model of a collection and its space. Waits while the model is downloaded or its provider is down, and
    /// while too many other models are in use.
    pub(super) async fn model(
        &self,
        collection: &CollectionName,
    ) -> Result<(Arc<EmbeddingModel>, Arc<Space>), JobFailure> {
        let mut wait_entry = self.waiting.entry(MODEL);
        loop {
            match self.models.get(collection).await {
                Ok(model) => {
                    wait_entry.clear();
                    let failed = |error| self.models.error(collection, &model.record, error);
                    // A service can have got another model since it was probed.
                    let space = model.jobs.recheck_space().await.map_err(failed)?;
                    return Ok((model, space));
                }
                Err(error) if error.embed_error().is_retryable() => {
                    let pause = error.embed_error().retry_after().unwrap_or(RETRY_DELAY);
                    wait_entry.wait(pause, error.to_string());
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl From<ModelError> for JobFailure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Default(error) => Self::Provider(error),
            ModelError::Recorded(_) => Self::Model(error),
        }
    }
}
