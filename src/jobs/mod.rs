//! Jobs: the service keeps the state (jobs, batches, leases, results, the stop flag), and pools do the work. This
//! module uses the traits of the ports and the pipeline; it does not use HTTP.
//!
//! A job is planned (`plan`: list keys, filter them, make batches), executed (`pools`: lease, run the pipeline, report)
//! and recorded at each step (`ledger`), so that it continues after a restart from its last step.

mod attempts;
mod bounds;
mod clock;
pub mod cluster;
mod collections;
mod dry_run;
mod error;
mod keys;
pub mod lease;
pub mod ledger;
mod limit;
mod listed;
mod metadata;
mod moving;
mod placed;
mod plan;
mod pools;
mod prefix;
pub mod progress;
mod reconcile;
pub mod remote_workers;
mod retry;
mod run;
mod schedule;
mod service;
mod settings;
mod sync;
mod tally;
mod token;
mod trouble;
mod verify;
pub mod wire;
mod worker_name;
mod worker_timings;
mod workers;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::{CollectionName, Excludes, JobId};
use crate::index::Stores;
use crate::pipeline::Pipeline;
use crate::resilience::WaitBoard;

use clock::Clock;
use ledger::Ledger;
use progress::RunningJob;

pub use crate::sqlite::DiskProblem;
pub use bounds::Bounded;
pub use error::JobsError;
pub use moving::Moved;
pub use pools::{Ended, Placing, Pool, PoolError};
pub use service::{JobView, Jobs, RETRY_WHEN_FULL, Submission};
pub use settings::JobSettings;
pub use verify::{Difference, DifferenceKind, MAX_NAMED, MAX_SAMPLED, VerifyOptions, VerifyReport};
pub use worker_name::{InvalidWorkerName, WorkerName};
pub use workers::WorkerJob;

/// How long a stopped job may take to finish the items in flight. Shorter than the time that the whole process has for
/// stopping.
const GRACE: Duration = Duration::from_secs(20);

/// The pause after a failed ledger operation before the next attempt.
const LEDGER_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The parts that the job service is made of.
#[derive(Debug)]
pub struct JobParts {
    /// The ledger, which records every job.
    pub ledger: Ledger,
    /// The pipeline that processes images.
    pub pipeline: Pipeline,
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
    pub waiting: WaitBoard,
    /// Cancelled when the process is asked to stop.
    pub drain: CancellationToken,
    /// Tracks every task of the job service.
    pub tasks: TaskTracker,
}

#[derive(Debug)]
struct JobService {
    ledger: Ledger,
    pipeline: Pipeline,
    stores: Stores,
    settings: JobSettings,
    default_bucket: String,
    allowed_buckets: Vec<String>,
    thumbnail_prefix: String,
    exclude: Excludes,
    placing: Option<Placing>,
    waiting: WaitBoard,
    drain: CancellationToken,
    tasks: TaskTracker,
    clock: Clock,
    live: Mutex<HashMap<JobId, Arc<RunningJob>>>,
    /// Collections that no job may start on, because a verification or a removal uses them.
    reserved: Mutex<HashSet<CollectionName>>,
    /// Notified when a job was submitted or has ended.
    wake: Notify,
}

impl JobService {
    fn live(&self) -> MutexGuard<'_, HashMap<JobId, Arc<RunningJob>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
