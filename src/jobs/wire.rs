//! What a worker elsewhere and its service say to each other: the JSON of `/internal/jobs/{id}/…`. Batches, tasks and
//! outcomes go as they are (`Batch`, `Task`, `Outcome`).

use serde::{Deserialize, Serialize};

use super::lease::Standing;
use super::ledger::{Batch, Held};
use crate::domain::{CollectionName, Holders, Space};
use crate::pipeline::Outcome;

/// The version of this language. A worker of another is refused.
pub const PROTOCOL: u32 = 1;

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
    pub stores: Holders,
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

/// A worker asks for work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaseRequest {
    /// Its name.
    pub worker: String,
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
    pub worker: String,
    /// Which lease of the batch it had.
    pub attempt: u32,
    /// Item by item.
    pub outcomes: Vec<Outcome>,
}

/// A worker lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    /// Its name.
    pub worker: String,
    /// The leases to be renewed.
    #[serde(default)]
    pub held: Vec<Held>,
}

/// How a worker stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StandingReply {
    /// Take nothing new, finish what is in flight, leave.
    pub stop: bool,
    /// Batches that are another's now.
    #[serde(default)]
    pub lost: Vec<i64>,
}

/// A worker has ended: said by itself, or by whoever watched over it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ExitRequest {
    /// Its exit code: 0 where it left of its own accord, all else is a death.
    pub rc: i64,
}

/// Lines for the job's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogsRequest {
    /// Who says them.
    pub worker: String,
    /// Oldest first.
    pub lines: Vec<String>,
}

/// How the job stands, for whoever places its workers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SummaryReply {
    /// Whether nothing more will happen.
    pub terminal: bool,
    /// `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.
    pub status: String,
    /// Images planned but not yet dealt with.
    pub left: u64,
}

impl From<Standing> for StandingReply {
    fn from(Standing { lost, stop }: Standing) -> Self {
        Self { stop, lost }
    }
}

impl From<StandingReply> for Standing {
    fn from(StandingReply { lost, stop }: StandingReply) -> Self {
        Self { lost, stop }
    }
}
