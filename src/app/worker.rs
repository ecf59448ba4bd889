//! `glimpse worker`: builds the pipeline from the environment of this process, for a job of a service in another
//! process.

use std::sync::Arc;

use async_trait::async_trait;

use super::embedding::Embedding;
use super::{BuildError, bucket, embedding, parts, providers, registry, stores, traces};
use crate::config::Settings;
use crate::domain::ModelRecord;
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::index::Stores;
use crate::index::remote::RecordsClient;
use crate::pipeline::Pipeline;
use crate::resilience::WaitList;
use crate::telemetry::traces::Traces;
use crate::worker::{ServiceClient, Worker, WorkerError, WorkerModels, WorkerSettings};

/// A worker that is built but has not started.
#[derive(Debug)]
pub struct WorkerApp {
    worker: Worker,
    traces: Option<Traces>,
}

impl WorkerApp {
    /// Builds every part. Makes no network call yet. Opens no file of the data folder except the credentials of an
    /// embedded bucket.
    ///
    /// # Errors
    /// [`BuildError`]
    pub async fn build(settings: &Settings, worker: WorkerSettings) -> Result<Self, BuildError> {
        let waiting = WaitList::default();
        let client = Arc::new(ServiceClient::new(worker, &waiting)?);
        let source = parts::sources(settings, bucket::client_settings(settings)?, &waiting).await?;
        let raw = providers::raw(settings).await?;
        let name = settings.embed.image_embedding_provider.name();
        let Embedding { jobs: provider, .. } = embedding::add_layers(raw, name, settings, &waiting);
        let service: Arc<dyn RecordsClient> = client.clone();
        let stores = Stores::new(stores::open_for_worker(settings, &service, &waiting)?);
        let pipeline = Pipeline::new(source.jobs, provider, stores, settings.imaging.limits(), &settings.pipeline)
            .with_thumbnail_prefix(&settings.source.thumbnail_prefix)
            .with_exif(settings.imaging.image_exif);
        let models = Arc::new(ModelsOfSettings { settings: settings.clone(), waiting });
        let traces = traces::start(settings, "worker")?;
        Ok(Self { worker: Worker::new(client, pipeline, models), traces })
    }

    /// Works until the job ends or `drain` is cancelled.
    ///
    /// # Errors
    /// [`WorkerError`]
    pub async fn run(self, drain: &tokio_util::sync::CancellationToken) -> Result<(), WorkerError> {
        let outcome = self.worker.run(drain).await;
        traces::flush(self.traces).await;
        outcome
    }
}

/// The adapter of [`WorkerModels`].
struct ModelsOfSettings {
    settings: Settings,
    waiting: WaitList,
}

#[async_trait]
impl WorkerModels for ModelsOfSettings {
    async fn provider(&self, model: &ModelRecord) -> Result<Option<Arc<dyn ImageEmbeddingProvider>>, EmbedError> {
        if *model == registry::default_record(&self.settings) {
            return Ok(None);
        }
        let settings = registry::settings_of(&self.settings, model)?;
        let raw = providers::raw(&settings).await.map_err(registry::unusable_provider)?;
        Ok(Some(embedding::add_layers(raw, &model.dependency(), &settings, &self.waiting).jobs))
    }
}

impl std::fmt::Debug for ModelsOfSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelsOfSettings").finish_non_exhaustive()
    }
}
