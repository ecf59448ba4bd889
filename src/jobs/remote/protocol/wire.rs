//! The protocol between a remote worker and its service: the JSON of `/internal/jobs/{id}/…`. Batches, tasks and
//! outcomes are serialized as they are (`Batch`, `Task`, `TaskOutcome`).

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::domain::{CollectionName, ExifLevel, ImageUri, ModelRecord, Space, StoreSet};
use crate::jobs::pool::broker::LeaseStatus;
use crate::jobs::remote::protocol::worker_name::WorkerName;
use crate::jobs::remote::same_bucket::ObjectRead;
use crate::ledger::{Batch, Held, Report};
use crate::pipeline::{ItemOutcome, TaskOutcome, Timings};
use crate::resilience::Waiting;

/// The version of this protocol. A worker with another version is refused.
pub const PROTOCOL: u32 = 4;

/// The version of this build. A worker with another version is refused.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A worker joins a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// [`VERSION`] of the worker's build.
    pub version: String,
    /// [`PROTOCOL`] of the worker's build.
    pub protocol: u32,
    /// The space of the vectors that the worker makes.
    pub space: Space,
    /// The stores that the worker writes to.
    pub stores: StoreSet,
    /// The name of the worker's machine, as set when the worker was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What the worker reads at the URI of [`JoinReply::Read`]; absent in its first request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRead>,
    /// The answer to [`JoinReply::Model`]; absent until the worker has received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelAnswer>,
}

/// Whether a worker can use the model of its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelAnswer {
    /// It can; `space` is that of the model that it uses since.
    Used,
    /// It cannot, for this reason, which has at most [`MAX_REASON`] characters.
    Unusable(String),
}

/// The reply to a [`JoinRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum JoinReply {
    /// The worker has joined.
    Joined(Box<Joined>),
    /// The job is not running yet.
    Wait {
        /// Send the request again after this many milliseconds.
        wait_ms: u64,
    },
    /// Send the request again with what the worker reads at this URI.
    Read {
        /// The URI.
        read: ImageUri,
    },
    /// The collection of the job uses another model than the worker. Send the request again with the space of this model.
    Model {
        /// The model.
        model: ModelRecord,
    },
}

/// The facts about a job that its workers need.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// The collection of the records.
    pub collection: CollectionName,
    /// The space of the collection. Every record has its name.
    pub space: Space,
    /// How long a lease lasts, in seconds. A worker must renew it after each third of this time.
    pub lease_seconds: u64,
    /// Which facts of EXIF, IPTC and XMP the records have.
    pub exif: ExifLevel,
}

/// Maximum characters of the reason why a worker cannot use a model, or is refused.
pub const MAX_REASON: usize = 500;

/// Maximum log lines in one request.
pub const MAX_LINES: usize = 200;
/// Maximum characters that are kept of a log line and of the message of a failure.
pub const MAX_LINE: usize = 2_000;
/// Maximum bytes of a line; a longer line is refused.
pub const MAX_LINE_BYTES: usize = 4 * MAX_LINE;

/// A worker asks for work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// The worker's name.
    pub worker: WorkerName,
    /// The leases that the worker holds, which are renewed; absent means all that the service knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<Held>>,
}

/// The reply to a [`LeaseRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LeaseReply {
    /// A batch, under lease.
    Batch(Batch),
    /// No work at this moment.
    Wait {
        /// Send the request again after this many milliseconds.
        wait_ms: u64,
    },
    /// No more work; the worker ends.
    Stop {
        /// Always `true`.
        stop: bool,
    },
}

/// Outcomes of items of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResultRequest {
    /// The worker's name.
    pub worker: WorkerName,
    /// The number of the lease under which the worker had the batch.
    pub attempt: u32,
    /// The outcomes, one for each item.
    pub outcomes: Vec<TaskOutcome>,
    /// The leases that the worker holds, which are renewed; absent means all that the service knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<Held>>,
    /// What the worker's pipeline measured since its last report; absent if that was a moment ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

/// A heartbeat of a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    /// The worker's name.
    pub worker: WorkerName,
    /// The leases to renew.
    #[serde(default)]
    pub held: Vec<Held>,
    /// The dependency that the worker waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<WireWaiting>,
    /// What the worker's pipeline measured since its last report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

/// A dependency that a worker waits for. The dependency's own message stays in the worker's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WireWaiting {
    /// `s3`, `clip`, `qdrant`…
    pub dependency: String,
    /// How long the worker has waited, in milliseconds. Not a timestamp, since the clocks of two machines may differ.
    pub for_ms: u64,
    /// Milliseconds until the next try.
    pub next_try_ms: u64,
    /// Whether the dependency answers but has no space left.
    pub full: bool,
}

/// The status of a worker's leases.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LeaseStatusReply {
    /// Whether the worker must take no new work, finish the items in flight and end.
    pub stop: bool,
    /// Batches that the worker has lost to other workers.
    #[serde(default)]
    pub lost: Vec<i64>,
    /// Batches that are finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<i64>,
}

/// A worker has ended; sent by the worker itself or by the process that supervises it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ExitRequest {
    /// The exit code: 0 if the worker ended by itself, 78 if its settings do not fit the job; any other code means that
    /// it died.
    pub rc: i64,
}

/// A worker met a problem that only the operator can fix: a setting, a key or the clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperatorErrorRequest {
    /// The worker's name.
    pub worker: WorkerName,
    /// The problem and what to change, in one sentence.
    pub problem: String,
}

/// Lines for the job's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogsRequest {
    /// The worker's name.
    pub worker: WorkerName,
    /// The lines, oldest first.
    pub lines: Vec<String>,
}

/// The status of the job, for the process that places its workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SummaryReply {
    /// Whether the workers have nothing left to do.
    pub terminal: bool,
    /// `PENDING`, `RUNNING`, `PAUSED`, `SUCCEEDED`, `FAILED` or `STOPPED`.
    pub status: String,
    /// Number of images that are planned and not yet processed.
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
            dependency: dependency.chars().filter(|character| !character.is_control()).take(64).collect(),
            since: now.checked_sub(Duration::from_millis(for_ms)).unwrap_or(now),
            next_try: now.checked_add(Duration::from_millis(next_try_ms.min(MAX_WAIT_MS))),
            message: String::new(),
            full,
        }
    }
}

/// Shortens the texts of a report, so that the service does not refuse it for their length.
pub fn within_bounds(report: Report) -> Report {
    let Report { batch, attempt, mut outcomes } = report;
    for outcome in &mut outcomes {
        match &mut outcome.result {
            // An absent ETag is not compared.
            ItemOutcome::Indexed(indexed) | ItemOutcome::PartlyStored(indexed) => {
                indexed.etag = indexed.etag.take().filter(|etag| etag.len() <= MAX_LINE);
            }
            ItemOutcome::Failed(failure) => failure.message = plain(&failure.message),
        }
    }
    Report { batch, attempt, outcomes }
}

/// Returns at most [`MAX_LINE`] characters of a text, on one line.
pub fn plain(text: &str) -> String {
    text.chars().take(MAX_LINE).map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Returns at most [`MAX_REASON`] characters of a reason, on one line.
pub fn plain_reason(reason: &str) -> String {
    plain(reason).chars().take(MAX_REASON).collect()
}

/// Maximum time until the next try that the status shows, whatever a worker reports.
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
