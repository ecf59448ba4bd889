//! Jobs: the service owns the truth (jobs, batches, leases, results, the stop flag), pools do the work. Knows the ports by
//! their traits and the chain; knows nothing of HTTP.
//!
//! A job is planned (`plan`: list, sort out, cut into batches), worked off (`pools`: lease, run the chain, report) and
//! written down (`ledger`) at each step, so that it goes on after a restart where it stood.

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

pub use crate::sqlite::DiskTrouble;
pub use bounds::Bounded;
pub use error::JobsError;
pub use moving::Moved;
pub use pools::{Ended, Placing, Pool, PoolError};
pub use service::{JobView, Jobs, RETRY_WHEN_FULL, Submission};
pub use settings::JobSettings;
pub use verify::{Difference, DifferenceKind, MAX_NAMED, MAX_SAMPLED, VerifyOptions, VerifyReport};
pub use worker_name::{InvalidWorkerName, WorkerName};
pub use workers::WorkerJob;

/// What is in flight when a job is told to stop may take so long to come to its end. Shorter than the time that the whole
/// process has for stopping.
const GRACE: Duration = Duration::from_secs(20);

/// A ledger that failed is left alone for so long.
const LEDGER_PAUSE: Duration = Duration::from_secs(5);

/// What the service of jobs is made of.
#[derive(Debug)]
pub struct JobParts {
    /// Where all is written down.
    pub ledger: Ledger,
    /// Who works.
    pub pipeline: Pipeline,
    /// The stores for whoever waits for an answer; the pipeline's own are waited for themselves.
    pub stores: Stores,
    /// How much at once.
    pub settings: JobSettings,
    /// Where a job that names no bucket looks.
    pub default_bucket: String,
    /// Buckets that a job may name.
    pub allowed_buckets: Vec<String>,
    /// Keys under it are no images; empty: none.
    pub thumbnail_prefix: String,
    /// Keys that are not indexed, where a job does not say.
    pub exclude: Excludes,
    /// A cluster that places workers, where there is one.
    pub placing: Option<Placing>,
    /// What anybody waits for.
    pub waiting: WaitBoard,
    /// Cancelled when the process is asked to end.
    pub drain: CancellationToken,
    /// Every task of ours.
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
    /// Collections that no job may begin on: something else is at work there.
    reserved: Mutex<HashSet<CollectionName>>,
    /// Told when a job was submitted or has ended.
    wake: Notify,
}

impl JobService {
    fn live(&self) -> MutexGuard<'_, HashMap<JobId, Arc<RunningJob>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
