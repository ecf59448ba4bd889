//! Makes the models of the registry from the settings.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::record;
use crate::app::BuildError;
use crate::app::embedding::{Embedding, add_layers};
use crate::app::providers::{self, Adapter};
use crate::config::Settings;
use crate::domain::ModelRecord;
use crate::embed::local::LocalProvider;
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::resilience::WaitList;
use crate::shutdown::Shutdown;

/// A model with its layers.
pub(super) struct Made {
    pub(super) jobs: Arc<dyn ImageEmbeddingProvider>,
    pub(super) searches: Arc<dyn ImageEmbeddingProvider>,
    pub(super) parts: Parts,
}

/// What is held as long as the model is.
#[derive(Default)]
pub(super) struct Parts {
    /// The model, if it is one of this process.
    pub(super) local: Option<LocalProvider>,
    /// Probes the provider. The model of the settings has a task that lives as long as the process.
    pub(super) _probe: Option<AbortOnDropHandle<()>>,
}

/// Makes models.
#[async_trait]
pub(super) trait ModelFactory: Send + Sync {
    /// Makes the model of a record; makes no network call. A model in this process is loaded by its first call.
    /// `shared` is a model with the same networks.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the record or the settings of its provider cannot be used.
    async fn make(&self, record: &ModelRecord, shared: Option<LocalProvider>) -> Result<Made, EmbedError>;
}

/// Makes the adapters of providers, with their layers.
pub(super) struct Adapters {
    settings: Settings,
    waiting: WaitList,
}

impl Adapters {
    pub(super) fn new(settings: &Settings, waiting: &WaitList) -> Self {
        Self { settings: settings.clone(), waiting: waiting.clone() }
    }

    /// Makes the model of the settings. If it is on this machine, it is loaded.
    pub(super) async fn make_default(&self, shutdown: &Shutdown) -> Result<Made, BuildError> {
        let (raw, local) = match providers::adapter(&self.settings, None).await? {
            Adapter::Service(service) => (service, None),
            Adapter::Local(local) => {
                providers::load(&local).await?;
                (Arc::new(local.clone()) as Arc<dyn ImageEmbeddingProvider>, Some(local))
            }
        };
        let Embedding { jobs, searches, verification } =
            add_layers(raw, self.settings.embed.image_embedding_provider.name(), &self.settings, &self.waiting);
        let end = shutdown.drain();
        shutdown.spawn("probe of the embedding provider", async move { verification.keep(end).await });
        Ok(Made { jobs, searches, parts: Parts { local, _probe: None } })
    }
}

#[async_trait]
impl ModelFactory for Adapters {
    async fn make(&self, record: &ModelRecord, shared: Option<LocalProvider>) -> Result<Made, EmbedError> {
        let settings = record::settings_of(&self.settings, record)?;
        let adapter = providers::adapter(&settings, shared).await.map_err(unusable_provider)?;
        let (raw, local) = match adapter {
            Adapter::Service(service) => (service, None),
            Adapter::Local(local) => (Arc::new(local.clone()) as Arc<dyn ImageEmbeddingProvider>, Some(local)),
        };
        let Embedding { jobs, searches, verification } =
            add_layers(raw, &record.dependency(), &settings, &self.waiting);
        #[expect(clippy::disallowed_methods, reason = "the handle is held with the model and aborts on drop")]
        let probe = tokio::spawn(async move { verification.keep(CancellationToken::default()).await });
        Ok(Made { jobs, searches, parts: Parts { local, _probe: Some(AbortOnDropHandle::new(probe)) } })
    }
}

/// Returns the error of a provider that cannot be made.
pub(in crate::app) fn unusable_provider(error: BuildError) -> EmbedError {
    match error {
        BuildError::Provider(error) => error,
        other => record::unusable(other.to_string()),
    }
}
