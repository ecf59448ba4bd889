//! What a pool asks of whoever hands out the work. Two answer: the ledger of this process by a function call
//! (`pools::local`), and the service of another process by HTTP (`crate::worker`). The pool between them and the chain is
//! the same ([`super::Pool`]).

use std::time::Duration;

use async_trait::async_trait;

use super::ledger::{Batch, Held, Report};
use crate::domain::{DependencyError, FailureLimit};
use crate::resilience::Retryable;
use crate::sqlite::SqliteError;

/// What asking for work gave.
#[derive(Debug)]
pub enum Offer {
    /// This, under lease.
    Batch(Batch),
    /// Nothing any more for this pool: what it holds it finishes, then it leaves.
    Over,
}

/// How a pool stands with whoever hands out the work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Batches that are not the pool's any more: others have them.
    pub lost: Vec<i64>,
    /// Batches of which nothing is left to be done. What of them the pool has not reported, others have done.
    pub gone: Vec<i64>,
    /// Take nothing new, finish what is in flight, leave.
    pub stop: bool,
}

/// Whoever hands out the work of one job to one pool. Every call may be made again: what was said twice counts once.
#[async_trait]
pub trait LeaseBroker: Send + Sync + 'static {
    /// Waits for a batch; prolongs the leases that the pool holds.
    async fn lease(&self, held: Vec<Held>) -> Result<Offer, LeaseError>;

    /// Prolongs the leases that the pool holds.
    async fn renew(&self, held: Vec<Held>) -> Result<LeaseStatus, LeaseError>;

    /// Says what became of items; prolongs the leases that the pool holds.
    async fn report(&self, reports: Vec<Report>, held: Vec<Held>) -> Result<LeaseStatus, LeaseError>;

    /// Adds lines to the job's log.
    async fn log(&self, lines: Vec<String>) -> Result<(), LeaseError>;

    /// Gives back what the pool holds and has not reported: it leaves of its own accord.
    async fn give_back(&self) -> Result<(), LeaseError>;

    /// How often leases are to be renewed; `None` where they last as long as the process.
    fn renew_every(&self) -> Option<Duration>;
}

/// Why a pool cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The ledger of this process failed.
    #[error("ledger: {0}")]
    Ledger(#[from] SqliteError),
    /// The job is going wrong.
    #[error("{failed} of {dealt_with} images failed, more than max_failures = {most} allows; the last: {last}")]
    TooManyFailures {
        /// So far.
        failed: u64,
        /// Of so many.
        dealt_with: u64,
        /// As the client said.
        most: FailureLimit,
        /// Why the last of them failed.
        last: String,
    },
    /// The service elsewhere is the trouble.
    #[error(transparent)]
    Service(#[from] DependencyError),
    /// The service elsewhere will have nothing to do with this pool: its own sentence.
    #[error("{0}")]
    Refused(String),
    /// The service does not know the pool: it was started again. The broker introduces the pool and goes on.
    #[error("the service does not know this worker any more")]
    NotJoined,
    /// The job is over.
    #[error("the job is over")]
    Over,
}

impl Retryable for LeaseError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Service(down) => down.trouble.may_pass(),
            Self::Ledger(_) | Self::TooManyFailures { .. } | Self::Refused(_) | Self::NotJoined | Self::Over => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Service(down) => down.trouble.retry_after(),
            Self::Ledger(_) | Self::TooManyFailures { .. } | Self::Refused(_) | Self::NotJoined | Self::Over => None,
        }
    }
}
