//! `glimpse worker`: builds the pipeline from the environment of this process, for a job of a service in another
//! process.

use std::sync::Arc;

use super::embedding::Embedding;
use super::{BuildError, bucket, embedding, parts, providers, stores};
use crate::config::Settings;
use crate::index::Stores;
use crate::index::remote::RecordsClient;
use crate::pipeline::Pipeline;
use crate::resilience::WaitList;
use crate::worker::{ServiceClient, Worker, WorkerError, WorkerSettings};

/// A worker that is built but has not started.
#[derive(Debug)]
pub struct WorkerApp {
    worker: Worker,
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
        Ok(Self { worker: Worker::new(client, pipeline) })
    }

    /// Works until the job ends or `drain` is cancelled.
    ///
    /// # Errors
    /// [`WorkerError`]
    pub async fn run(&self, drain: &tokio_util::sync::CancellationToken) -> Result<(), WorkerError> {
        self.worker.run(drain).await
    }
}
