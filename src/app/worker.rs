//! `glimpse worker`: the chain of this process' environment for a job of another process.

use std::sync::Arc;

use super::embedding::Embedding;
use super::{BuildError, bucket, embedding, parts, providers, stores};
use crate::config::Settings;
use crate::index::Stores;
use crate::index::remote::RecordsDoor;
use crate::pipeline::Pipeline;
use crate::resilience::WaitBoard;
use crate::worker::{ServiceClient, Worker, WorkerError, WorkerSettings};

/// A worker that has its parts and has not begun.
#[derive(Debug)]
pub struct WorkerApp {
    worker: Worker,
}

impl WorkerApp {
    /// Builds every part; nobody is asked yet. It opens no file of the data folder but the credentials of an embedded
    /// bucket.
    ///
    /// # Errors
    /// [`BuildError`]
    pub async fn build(settings: &Settings, of: WorkerSettings) -> Result<Self, BuildError> {
        let waiting = WaitBoard::default();
        let client = Arc::new(ServiceClient::new(of, &waiting).map_err(BuildError::Settings)?);
        let source = parts::source(settings, bucket::client_of(settings)?, &waiting).await?;
        let raw = providers::raw(settings).await?;
        let Embedding { jobs: provider, .. } = embedding::around(raw, settings, &waiting);
        let authenticator: Arc<dyn RecordsDoor> = client.clone();
        let stores = Stores::new(stores::of_worker(settings, &authenticator, &waiting)?);
        let thumbnails = Some(settings.source.thumbnail_prefix.clone()).filter(|prefix| !prefix.is_empty());
        let pipeline = Pipeline::new(source, provider, stores, settings.imaging.limits(), &settings.pipeline)
            .with_thumbnails(thumbnails);
        Ok(Self { worker: Worker::new(client, pipeline) })
    }

    /// Works until the job is over, or `drain` is cancelled.
    ///
    /// # Errors
    /// [`WorkerError`]
    pub async fn run(&self, drain: &tokio_util::sync::CancellationToken) -> Result<(), WorkerError> {
        self.worker.run(drain).await
    }
}
