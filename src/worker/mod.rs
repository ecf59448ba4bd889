//! A pool in another process or on another machine: it introduces itself to the service of its job, leases batches,
//! runs the one chain, reports, and leaves when told. Its provider, bucket and stores are its own environment's; what
//! they make must be what the job wants, or the service refuses it.

mod broker;
mod client;
mod measures;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::DependencyError;
use crate::embed::EmbedError;
use crate::jobs::lease::{LeaseBroker, LeaseError};
use crate::jobs::wire::{JoinRequest, PROTOCOL, VERSION};
use crate::jobs::{Ended, Pool, PoolError};
use crate::pipeline::{Pipeline, Run, RunError, Stages, WriteLease};
use crate::resilience::Retryable;

pub use broker::ServiceBroker;
pub use client::{ServiceClient, WorkerSettings};
pub use measures::Measures;

/// What is in flight when the worker is told to leave may take so long to come to its end.
const GRACE: Duration = Duration::from_secs(20);

/// After a run that a dependency broke off, the next begins after so long.
const PAUSE: Duration = Duration::from_secs(5);

/// A worker of one job.
#[derive(Debug)]
pub struct Worker {
    client: Arc<ServiceClient>,
    pipeline: Pipeline,
}

/// Why a worker could not go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The service says no, or is away for too long.
    #[error("the service at {url}: {source}")]
    Service {
        /// Where.
        url: String,
        /// What it said.
        #[source]
        source: LeaseError,
    },
    /// The embedding provider does not do what it says.
    #[error("embedding provider: {0}")]
    Provider(#[from] EmbedError),
    /// A dependency that waiting does not help with.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] RunError),
}

impl WorkerError {
    /// Whether the same worker, started again with the same settings, would fail in the same way: the service refuses
    /// it, or something else refuses the worker's settings.
    pub fn is_of_settings(&self) -> bool {
        match self {
            Self::Service { source, .. } => match source {
                LeaseError::Refused(_) => true,
                LeaseError::Ledger(_)
                | LeaseError::TooManyFailures { .. }
                | LeaseError::Service(_)
                | LeaseError::NotJoined
                | LeaseError::Over => false,
            },
            Self::Provider(error) | Self::Chain(RunError::Provider(error)) => !error.is_retryable(),
            Self::Dependency(down) | Self::Chain(RunError::Dependency(down)) => !down.trouble.may_pass(),
            Self::Chain(RunError::Space(_) | RunError::Bucket(_)) => true,
        }
    }
}

impl Worker {
    /// A worker that runs this chain for the job that the client leads to.
    pub fn new(client: Arc<ServiceClient>, pipeline: Pipeline) -> Self {
        Self { client, pipeline }
    }

    /// Works until the job is over or `drain` is cancelled: then what is in flight is finished, and the rest given
    /// back.
    ///
    /// # Errors
    /// [`WorkerError`]
    pub async fn run(&self, drain: &CancellationToken) -> Result<(), WorkerError> {
        let worked = tokio::select! {
            worked = self.work(drain) => worked,
            () = async { drain.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        };
        if let Err(WorkerError::Service { .. }) = worked {
            return worked;
        }
        // Nobody died: what is left goes back as it was.
        let left = tokio::time::timeout(Duration::from_secs(5), self.client.exit(0)).await;
        match left {
            Ok(Ok(()) | Err(LeaseError::Over)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the service was not told of the end; the leases run out"),
            Err(_) => tracing::warn!("the service was not told of the end in time; the leases run out"),
        }
        worked
    }

    async fn work(&self, drain: &CancellationToken) -> Result<(), WorkerError> {
        // One that is down is waited for; but not when it is time to go.
        let space = tokio::select! {
            space = self.pipeline.provider().space() => space?,
            () = drain.cancelled() => return Ok(()),
        };
        let stores = self.pipeline.stores().all();
        let (version, space) = (VERSION.to_owned(), space.as_ref().clone());
        let node = self.client.node().map(str::to_owned);
        let request = JoinRequest { version, protocol: PROTOCOL, space, stores, node };
        loop {
            let joined = tokio::select! {
                joined = self.client.join(&request) => joined,
                () = drain.cancelled() => return Ok(()),
            };
            let joined = match joined {
                Ok(joined) => joined,
                Err(LeaseError::Over) => return Ok(()),
                Err(source) => return Err(self.service(source)),
            };
            tracing::info!(worker = self.client.name(), job = self.client.job(), "begins");
            let stages = Arc::new(Stages::new(self.pipeline.lanes(), self.pipeline.provider().busy()));
            let measures = Measures::new(stages.clone(), self.pipeline.provider().clone());
            let (client, introduction) = (self.client.clone(), request.clone());
            let broker = Arc::new(ServiceBroker::new(client, introduction, joined.lease_seconds, measures));
            let threads = self.pipeline.lanes().prepare;
            self.say(&broker, format!("begins: {threads} threads, version {VERSION}")).await;
            let (collection, space) = (joined.collection, Arc::new(joined.space));
            let run = Run { collection, space, stages, leave: WriteLease::default() };
            match Pool::new(self.pipeline.clone(), broker.clone()).work(run, drain).await {
                Ok(Ended::Over) | Err(PoolError::Lease(LeaseError::Over)) => return Ok(()),
                Ok(Ended::Lost) => {
                    self.say(&broker, "was away for longer than a lease; begins anew".to_owned()).await;
                    self.give_back(&broker).await?;
                }
                Err(PoolError::Lease(source)) => return Err(self.service(source)),
                Err(PoolError::Run(RunError::Dependency(down))) if down.trouble.may_pass() => {
                    self.say(&broker, format!("{} {}; begins anew", down.dependency, down.trouble)).await;
                    self.give_back(&broker).await?;
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = drain.cancelled() => return Ok(()),
                    }
                }
                Err(PoolError::Run(RunError::Bucket(error))) => {
                    tracing::error!(%error, detail = error.detail(), "the bucket cannot be read with these settings");
                    // Every other image would come to the same: the service ends the job.
                    if let Err(error) = self.client.operator_error(&error.to_string()).await {
                        tracing::warn!(%error, "the service was not told why this worker leaves");
                    }
                    return Err(RunError::Bucket(error).into());
                }
                Err(PoolError::Run(error)) => {
                    tracing::error!(%error, "the chain cannot go on");
                    self.say(&broker, "leaves: its chain cannot go on; its own log says why".to_owned()).await;
                    return Err(error.into());
                }
            }
        }
    }

    async fn give_back(&self, broker: &ServiceBroker) -> Result<(), WorkerError> {
        match broker.give_back().await {
            Ok(()) | Err(LeaseError::Over) => Ok(()),
            Err(source) => Err(self.service(source)),
        }
    }

    /// A line that does not arrive is no reason to stop.
    async fn say(&self, broker: &ServiceBroker, line: String) {
        if let Err(error) = broker.log(vec![line]).await {
            tracing::debug!(%error, "a line did not reach the job's log");
        }
    }

    fn service(&self, source: LeaseError) -> WorkerError {
        WorkerError::Service { url: self.client.url().to_owned(), source }
    }
}
