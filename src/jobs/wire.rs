//! What a worker elsewhere and its service say to each other: the JSON of `/internal/jobs/{id}/…`. Batches, tasks and
//! outcomes go as they are (`Batch`, `Task`, `TaskOutcome`).

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::lease::LeaseStatus;
use super::ledger::{Batch, Held, Report};
use super::worker_name::WorkerName;
use crate::domain::{CollectionName, Space, StoreSet};
use crate::pipeline::{ItemOutcome, TaskOutcome, Timings};
use crate::resilience::Waiting;

/// The version of this language. A worker of another is refused.
pub const PROTOCOL: u32 = 2;

/// The version of this build. A worker of another is refused.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A worker introduces itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// [`VERSION`] of its build.
    pub version: String,
    /// [`PROTOCOL`] of its build.
    pub protocol: u32,
    /// Of the vectors that it makes.
    pub space: Space,
    /// The stores that it writes to.
    pub stores: StoreSet,
    /// The machine that it is on, as whoever started it calls that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// The service takes it, or not yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum JoinReply {
    /// Come in.
    Joined(Box<Joined>),
    /// The job's turn has not come yet.
    Wait {
        /// Ask again after so many milliseconds.
        wait_ms: u64,
    },
}

/// What a worker must know of its job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// Where records go.
    pub collection: CollectionName,
    /// The collection's space, whose name the records bear.
    pub space: Space,
    /// A lease lasts so long; it is to be renewed every third of that.
    pub lease_seconds: u64,
}

/// Lines of one request for the job's log.
pub const MAX_LINES: usize = 200;
/// Characters that are kept of such a line, and of the reason of a failure.
pub const MAX_LINE: usize = 2_000;
/// Bytes of a line that is not refused.
pub const MAX_LINE_BYTES: usize = 4 * MAX_LINE;

/// A worker asks for work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Its name.
    pub worker: WorkerName,
    /// The leases that it holds, which are prolonged; absent: all that the service knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<Held>>,
}

/// What it gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LeaseReply {
    /// This.
    Batch(Batch),
    /// Nothing now.
    Wait {
        /// Ask again after so many milliseconds.
        wait_ms: u64,
    },
    /// Nothing any more.
    Stop {
        /// `true`
        stop: bool,
    },
}

/// What became of items of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResultRequest {
    /// Who says so.
    pub worker: WorkerName,
    /// Which lease of the batch it had.
    pub attempt: u32,
    /// Item by item.
    pub outcomes: Vec<TaskOutcome>,
    /// The leases that it holds, which are prolonged; absent: all that the service knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<Held>>,
    /// What its chain has counted since it came, where it was not said a moment ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

/// A worker lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    /// Its name.
    pub worker: WorkerName,
    /// The leases to be renewed.
    #[serde(default)]
    pub held: Vec<Held>,
    /// A dependency that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<WireWaiting>,
    /// What its chain has counted since it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

/// A dependency that a worker waits for. What it said stays in the worker's own log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WireWaiting {
    /// `s3`, `clip`, `qdrant`…
    pub dependency: String,
    /// For so long already, in milliseconds: two machines need not agree on the time.
    pub for_ms: u64,
    /// Until it is tried again.
    pub next_try_ms: u64,
    /// It answers, and has no space left.
    pub full: bool,
}

/// How a worker stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LeaseStatusReply {
    /// Take nothing new, finish what is in flight, leave.
    pub stop: bool,
    /// Batches that are another's now.
    #[serde(default)]
    pub lost: Vec<i64>,
    /// Batches of which nothing is left to be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<i64>,
}

/// A worker has ended: said by itself, or by whoever watched over it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ExitRequest {
    /// Its exit code: 0 where it left of its own accord, all else is a death.
    pub rc: i64,
}

/// A worker met what only the operator can change: a setting, a key, the clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperatorErrorRequest {
    /// Its name.
    pub worker: WorkerName,
    /// What to change, in one sentence.
    pub problem: String,
}

/// Lines for the job's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Who says them.
    pub worker: WorkerName,
    /// Oldest first.
    pub lines: Vec<String>,
}

/// How the job stands, for whoever places its workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SummaryReply {
    /// Whether nothing more is to be done by workers.
    pub terminal: bool,
    /// `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.
    pub status: String,
    /// Images planned but not yet dealt with.
    pub left: u64,
}

impl From<Waiting> for WireWaiting {
    fn from(Waiting { dependency, since, next_try, message: _, full }: Waiting) -> Self {
        let now = SystemTime::now();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            dependency,
            for_ms: millis(now.duration_since(since).unwrap_or_default()),
            next_try_ms: next_try.map_or(0, |moment| millis(moment.duration_since(now).unwrap_or_default())),
            full,
        }
    }
}

impl From<WireWaiting> for Waiting {
    fn from(WireWaiting { dependency, for_ms, next_try_ms, full }: WireWaiting) -> Self {
        let now = SystemTime::now();
        Self {
            dependency: dependency.chars().filter(|letter| !letter.is_control()).take(64).collect(),
            since: now.checked_sub(Duration::from_millis(for_ms)).unwrap_or(now),
            next_try: now.checked_add(Duration::from_millis(next_try_ms.min(MAX_WAIT_MS))),
            message: String::new(),
            full,
        }
    }
}

/// A report without texts that the service would refuse for their length.
pub fn within_bounds(report: Report) -> Report {
    let Report { batch, attempt, mut outcomes } = report;
    for outcome in &mut outcomes {
        match &mut outcome.fate {
            // An absent ETag is one that is not compared.
            ItemOutcome::Indexed(indexed) | ItemOutcome::Lags(indexed) => {
                indexed.etag = indexed.etag.take().filter(|etag| etag.len() <= MAX_LINE);
            }
            ItemOutcome::Failed(failure) => failure.message = plain(&failure.message),
        }
    }
    Report { batch, attempt, outcomes }
}

/// As much of somebody's words as is kept, in one line.
pub fn plain(words: &str) -> String {
    words.chars().take(MAX_LINE).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// However far a worker puts off its next try.
const MAX_WAIT_MS: u64 = 3_600_000;

impl From<LeaseStatus> for LeaseStatusReply {
    fn from(LeaseStatus { lost, gone, stop }: LeaseStatus) -> Self {
        Self { stop, lost, gone }
    }
}

impl From<LeaseStatusReply> for LeaseStatus {
    fn from(LeaseStatusReply { lost, gone, stop }: LeaseStatusReply) -> Self {
        Self { lost, gone, stop }
    }
}
