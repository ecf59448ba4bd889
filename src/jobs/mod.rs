//! Jobs: the service keeps the state (jobs, batches, leases, results, the stop flag), and pools do the work. This
//! module uses the traits of the ports and the pipeline; it does not use HTTP.
//!
//! `service` answers clients, `run` plans a job (list keys, filter them, make batches) and executes it, a `pool` leases
//! batches and runs the pipeline, `remote` serves pools of other processes, and `placing` lets a cluster start those.
//! Each step is recorded in the ledger, so that a job continues after a restart from its last step.

mod drop_listener;
pub(crate) mod error;
mod generation;
pub(crate) mod job_failure;
pub(crate) mod lane_gate;
pub mod placing;
pub mod pool;
pub mod remote;
pub mod run;
pub(crate) mod service;
mod settings;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::collection_models::CollectionModels;
use crate::disk::DiskWatch;
use crate::domain::{CollectionName, Excludes, JobId};
use crate::index::Stores;
use crate::lock::lock;
use crate::pipeline::Pipeline;
use crate::resilience::WaitList;

use crate::ledger::Ledger;
use remote::clock::Clock;
use run::progress::RunningJob;

pub use drop_listener::DropListener;
pub use error::JobsError;
pub use placing::Placing;
pub use pool::{Ended, Pool, PoolError};
pub use remote::protocol::bounds::Bounded;
pub use remote::protocol::worker_name::{InvalidWorkerName, WorkerName};
pub use remote::worker_job::WorkerJob;
pub use run::throughput::Throughput;
pub use service::{JobView, Jobs, Moved, RETRY_WHEN_FULL, Submission};
pub use settings::JobSettings;

/// How long a stopped job may take to finish the items in flight. Shorter than the time that the whole process has for
/// stopping.
pub(crate) const GRACE: Duration = Duration::from_secs(20);

/// The pause after a failed ledger operation before the next attempt.
pub(crate) const LEDGER_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The parts that the job service is made of.
#[derive(Debug)]
pub struct JobParts {
    /// The ledger, which records every job.
    pub ledger: Ledger,
    /// The pipeline that processes images, with the model of the settings.
    pub pipeline: Pipeline,
    /// The models of collections.
    pub models: CollectionModels,
    /// The stores for requests of clients, which fail fast if a store is down; the pipeline's own stores wait for it.
    pub stores: Stores,
    /// The settings of jobs.
    pub settings: JobSettings,
    /// The bucket of a job that names no bucket.
    pub default_bucket: String,
    /// The buckets that a job may read.
    pub allowed_buckets: Vec<String>,
    /// Keys under this prefix are thumbnails and are not indexed; empty means that there are none.
    pub thumbnail_prefix: String,
    /// Patterns of keys that are not indexed, if a job has no list of its own.
    pub exclude: Excludes,
    /// The cluster that places workers, if one is configured.
    pub placing: Option<Placing>,
    /// The dependencies that the process waits for.
    pub waiting: WaitList,
    /// The free space of the data folder.
    pub disk: DiskWatch,
    /// Called after a collection was dropped.
    pub drop_listener: DropListener,
    /// Cancelled when the process is asked to stop.
    pub drain: CancellationToken,
    /// Tracks every task of the job service.
    pub tasks: TaskTracker,
}

#[derive(Debug)]
pub(crate) struct JobService {
    pub(crate) ledger: Ledger,
    pub(crate) pipeline: Pipeline,
    pub(crate) models: CollectionModels,
    pub(crate) stores: Stores,
    pub(crate) settings: JobSettings,
    pub(crate) default_bucket: String,
    pub(crate) allowed_buckets: Vec<String>,
    pub(crate) thumbnail_prefix: String,
    pub(crate) exclude: Excludes,
    pub(crate) placing: Option<Placing>,
    pub(crate) waiting: WaitList,
    pub(crate) disk: DiskWatch,
    pub(crate) drop_listener: DropListener,
    pub(crate) drain: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) clock: Clock,
    pub(crate) running_jobs: Mutex<HashMap<JobId, Arc<RunningJob>>>,
    /// Collections that no job may start on, because a verification or a removal uses them.
    pub(crate) reserved: Mutex<HashSet<CollectionName>>,
    /// Collections that work on single keys uses beside the jobs.
    pub(crate) lane: lane_gate::LaneGate,
    /// Held while records of permanently removed images are removed from the stores, so that none of them is restored
    /// meanwhile.
    pub(crate) sweep: tokio::sync::Mutex<()>,
    /// Notified when a job was submitted or has ended.
    pub(crate) wake: Notify,
}

impl JobService {
    pub(crate) fn running_jobs(&self) -> MutexGuard<'_, HashMap<JobId, Arc<RunningJob>>> {
        lock(&self.running_jobs)
    }
}
