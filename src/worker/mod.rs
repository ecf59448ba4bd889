//! A worker in another process or on another machine. It joins a job of a service, leases batches of images, runs the
//! pipeline, reports the outcomes, and leaves when the job ends or when it is asked to stop. Its provider, bucket and
//! stores come from its own environment. If the collection uses another model, the worker changes to it. Everything must fit
//! the job; otherwise the service refuses the worker.

mod broker;
mod client;
mod measures;
mod models;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{DependencyError, ImageUri, ModelRecord};
use crate::embed::EmbedError;
use crate::jobs::pool::broker::{LeaseBroker, LeaseError};
use crate::jobs::remote::protocol::wire::{JoinRequest, ModelAnswer, PROTOCOL, VERSION, plain_reason};
use crate::jobs::remote::same_bucket::ObjectRead;
use crate::jobs::{Ended, Pool, PoolError};
use crate::pipeline::{Pipeline, Run, RunError, RunTrace, Stages, WriteLease};
use crate::resilience::Retryable;

pub use broker::ServiceBroker;
pub use client::ServiceClient;
pub use measures::Measures;
pub use models::WorkerModels;
pub use settings::WorkerSettings;

/// When the worker is asked to stop, the work in flight may take at most this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The name of a model in this process in errors.
const LOCAL: &str = "local";

/// The pause before the next run after a dependency ended a run.
const RESTART_DELAY: Duration = Duration::from_secs(5);

/// A worker of one job.
#[derive(Debug)]
pub struct Worker {
    client: Arc<ServiceClient>,
    pipeline: Pipeline,
    models: Arc<dyn WorkerModels>,
}

/// Why a worker could not continue.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The service refused the worker, or did not answer for too long.
    #[error("the service at {url}: {source}")]
    Service {
        /// The address of the service.
        url: String,
        /// The error.
        #[source]
        source: LeaseError,
    },
    /// The embedding provider failed or cannot be used.
    #[error("embedding provider: {0}")]
    Provider(#[from] EmbedError),
    /// A dependency failed in such a way that waiting does not help.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    /// The pipeline failed.
    #[error(transparent)]
    Pipeline(#[from] RunError),
}

impl WorkerError {
    /// Whether the worker would fail again in the same way if it were started with the same settings: the service or a
    /// dependency refuses the settings.
    pub fn is_configuration_error(&self) -> bool {
        match self {
            Self::Service { source, .. } => match source {
                LeaseError::Refused(_) => true,
                LeaseError::Ledger(_)
                | LeaseError::TooManyFailures { .. }
                | LeaseError::Service(_)
                | LeaseError::NotJoined
                | LeaseError::JobEnded => false,
            },
            Self::Provider(error) | Self::Pipeline(RunError::Provider(error)) => !error.is_retryable(),
            Self::Dependency(down) | Self::Pipeline(RunError::Dependency(down)) => !down.failure.is_temporary(),
            Self::Pipeline(RunError::Space(_) | RunError::Bucket(_)) => true,
        }
    }
}

impl Worker {
    /// Creates a worker that runs this pipeline for the job of the client.
    pub fn new(client: Arc<ServiceClient>, pipeline: Pipeline, models: Arc<dyn WorkerModels>) -> Self {
        Self { client, pipeline, models }
    }

    /// Works until the job ends or `drain` is cancelled. Then the work in flight is finished, and the other images are
    /// given back to the service.
    ///
    /// # Errors
    /// [`WorkerError`]
    pub async fn run(mut self, drain: &CancellationToken) -> Result<(), WorkerError> {
        let client = self.client.clone();
        let outcome = tokio::select! {
            outcome = self.work(drain) => outcome,
            () = async { drain.cancelled().await; tokio::time::sleep(DRAIN_TIMEOUT).await } => Ok(()),
        };
        if let Err(WorkerError::Service { .. }) = outcome {
            return outcome;
        }
        // An orderly exit: the service takes back the remaining images without counting a failure.
        let left = tokio::time::timeout(Duration::from_secs(5), client.exit(0)).await;
        match left {
            Ok(Ok(()) | Err(LeaseError::JobEnded)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the exit could not be reported; the leases will expire"),
            Err(_) => tracing::warn!("the exit could not be reported in time; the leases will expire"),
        }
        outcome
    }

    async fn work(&mut self, drain: &CancellationToken) -> Result<(), WorkerError> {
        // Waits for a provider that is down, but not after the drain has begun.
        let space = tokio::select! {
            space = self.pipeline.provider().space() => space?,
            () = drain.cancelled() => return Ok(()),
        };
        let stores = self.pipeline.stores().name_set();
        let (version, space) = (VERSION.to_owned(), space.as_ref().clone());
        let node = self.client.node().map(str::to_owned);
        let mut request = JoinRequest { version, protocol: PROTOCOL, space, stores, node, object: None, model: None };
        let (client, source) = (self.client.clone(), self.pipeline.source().clone());
        let read = async |uri: &ImageUri| ObjectRead::read(source.as_ref(), uri).await;
        loop {
            // The object of an earlier connection is not sent again.
            request.object = None;
            let change = async |request: &mut JoinRequest, model: &ModelRecord| self.change_model(request, model).await;
            let joined = tokio::select! {
                joined = client.join(&mut request, &read, change) => joined,
                () = drain.cancelled() => return Ok(()),
            };
            let joined = match joined {
                Ok(joined) => joined,
                Err(LeaseError::JobEnded) => return Ok(()),
                Err(source) => return Err(self.service(source)),
            };
            tracing::info!(worker = self.client.name(), job = self.client.job(), "the worker starts");
            let stages = Arc::new(Stages::new(self.pipeline.lanes(), self.pipeline.provider().busy()));
            let measures = Measures::new(stages.clone(), self.pipeline.provider().clone());
            let object = Some(ObjectRead::NotCompared);
            let join_request = JoinRequest { object, model: Some(ModelAnswer::Used), ..request.clone() };
            let broker = Arc::new(ServiceBroker::new(client.clone(), join_request, joined.lease_seconds, measures));
            let threads = self.pipeline.lanes().prepare;
            self.log_to_job(&broker, format!("starts: {threads} threads, version {VERSION}")).await;
            let (collection, space, exif) = (joined.collection, Arc::new(joined.space), joined.exif);
            // The span of the job is in the service.
            let trace = RunTrace::Job { id: self.client.job().into(), span: Arc::default() };
            let run = Run { collection, space, stages, write_lease: WriteLease::default(), exif, trace };
            match Pool::new(self.pipeline.clone(), broker.clone()).work(run, drain).await {
                Ok(Ended::Finished) | Err(PoolError::Lease(LeaseError::JobEnded)) => return Ok(()),
                Ok(Ended::Lost) => {
                    self.log_to_job(&broker, "had no connection for longer than a lease; starts again".to_owned())
                        .await;
                    self.give_back(&broker).await?;
                }
                Err(PoolError::Lease(source)) => return Err(self.service(source)),
                Err(PoolError::Run(RunError::Dependency(down))) if down.failure.is_temporary() => {
                    self.log_to_job(&broker, format!("{} {}; starts again", down.dependency, down.failure)).await;
                    self.give_back(&broker).await?;
                    tokio::select! {
                        () = tokio::time::sleep(RESTART_DELAY) => {}
                        () = drain.cancelled() => return Ok(()),
                    }
                }
                Err(PoolError::Run(RunError::Bucket(error))) => {
                    tracing::error!(%error, detail = error.detail(), "the bucket cannot be read with these settings");
                    // Every other image would fail in the same way, so the service ends the job.
                    if let Err(error) = self.client.operator_error(&error.to_string()).await {
                        tracing::warn!(%error, "the reason why this worker stops could not be reported to the service");
                    }
                    return Err(RunError::Bucket(error).into());
                }
                Err(PoolError::Run(error)) => {
                    tracing::error!(%error, "the pipeline cannot continue");
                    self.log_to_job(
                        &broker,
                        "stops: its pipeline cannot continue; the log of the worker has the reason".to_owned(),
                    )
                    .await;
                    return Err(error.into());
                }
            }
        }
    }

    /// Uses the model of the job from now on, if the settings of this worker allow it. Otherwise the service refuses the worker.
    async fn change_model(&mut self, request: &mut JoinRequest, model: &ModelRecord) -> ModelAnswer {
        let changed = async {
            let Some(provider) = self.models.provider(model).await? else { return Ok::<_, EmbedError>(None) };
            let space = provider.space().await?;
            Ok(Some((provider, space)))
        };
        match changed.await {
            Ok(Some((provider, space))) => {
                tracing::info!(%model, "the collection of the job uses another model than the settings; it is used now");
                request.space = space.as_ref().clone();
                self.pipeline = self.pipeline.clone().with_provider(provider);
                ModelAnswer::Used
            }
            // The service answers with the difference.
            Ok(None) => ModelAnswer::Used,
            Err(error) => {
                tracing::warn!(%model, %error, "the model of the job's collection cannot be used by this worker");
                ModelAnswer::Unusable(plain_reason(&reason(&error)))
            }
        }
    }

    async fn give_back(&self, broker: &ServiceBroker) -> Result<(), WorkerError> {
        match broker.give_back().await {
            Ok(()) | Err(LeaseError::JobEnded) => Ok(()),
            Err(source) => Err(self.service(source)),
        }
    }

    /// Adds a line to the log of the job. A failure is not a reason to stop.
    async fn log_to_job(&self, broker: &ServiceBroker, line: String) {
        if let Err(error) = broker.log(vec![line]).await {
            tracing::debug!(%error, "a line could not be added to the log of the job");
        }
    }

    fn service(&self, source: LeaseError) -> WorkerError {
        WorkerError::Service { url: self.client.url().to_owned(), source }
    }
}

/// Returns why a model cannot be used, for the service and its clients. The details of a service stay in the log of the worker.
fn reason(error: &EmbedError) -> String {
    match error {
        // The details of a model in this process say what the operator must change.
        EmbedError::Dependency(down) if down.dependency == LOCAL => down.to_string(),
        EmbedError::Dependency(down) => down.for_client(),
        error => error.to_string(),
    }
}
