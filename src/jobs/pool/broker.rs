//! The port through which a pool gets its work. It has two implementations: the ledger of this process, by a function
//! call (`pool::local`), and the service in another process, by HTTP (`crate::worker`). The pool is the same for both
//! ([`super::Pool`]).

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{DependencyError, FailureLimit};
use crate::ledger::{Batch, Held, LedgerError, Report};
use crate::resilience::Retryable;

/// The reply to a request for work.
#[derive(Debug)]
pub enum Offer {
    /// A batch, under lease.
    Batch(Batch),
    /// No more work for this pool: it finishes the batches that it holds and then ends.
    NoMoreWork,
}

/// The status of the leases of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Batches that the pool has lost to other workers.
    pub lost: Vec<i64>,
    /// Batches that are finished. Other workers have done the items that this pool has not reported.
    pub gone: Vec<i64>,
    /// Whether the pool must take no new work, finish the items in flight and end.
    pub stop: bool,
}

/// Hands out the work of one job to one pool. Every call may be repeated: a report that is sent twice counts once.
#[async_trait]
pub trait LeaseBroker: Send + Sync + 'static {
    /// Waits for a batch. Renews the leases that the pool holds.
    async fn lease(&self, held: Vec<Held>) -> Result<Offer, LeaseError>;

    /// Renews the leases that the pool holds.
    async fn renew(&self, held: Vec<Held>) -> Result<LeaseStatus, LeaseError>;

    /// Reports the outcomes of items. Renews the leases that the pool holds.
    async fn report(&self, reports: Vec<Report>, held: Vec<Held>) -> Result<LeaseStatus, LeaseError>;

    /// Adds lines to the job's log.
    async fn log(&self, lines: Vec<String>) -> Result<(), LeaseError>;

    /// Returns the items that the pool holds and has not reported, because the pool ends by itself.
    async fn give_back(&self) -> Result<(), LeaseError>;

    /// Returns how often leases must be renewed; `None` if they last as long as the process.
    fn renew_every(&self) -> Option<Duration>;
}

/// Why a pool cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The ledger of this process failed.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// More images failed than the job allows.
    #[error("{failed} of {processed} images failed, more than max_failures = {most} allows; the last: {last}")]
    TooManyFailures {
        /// Images that have failed.
        failed: u64,
        /// Images that are done or have failed.
        processed: u64,
        /// The limit that the client set.
        most: FailureLimit,
        /// Why the last of them failed.
        last: String,
    },
    /// The remote service cannot be reached or failed.
    #[error(transparent)]
    Service(#[from] DependencyError),
    /// The remote service refuses this pool; with the service's message.
    #[error("{0}")]
    Refused(String),
    /// The service does not know the pool because it was restarted. The broker joins again and continues.
    #[error("the service does not know this worker any more; it must join again")]
    NotJoined,
    /// The job has ended.
    #[error("the job has ended")]
    JobEnded,
}

impl Retryable for LeaseError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Service(down) => down.failure.is_temporary(),
            Self::Ledger(_) | Self::TooManyFailures { .. } | Self::Refused(_) | Self::NotJoined | Self::JobEnded => {
                false
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Service(down) => down.failure.retry_after(),
            Self::Ledger(_) | Self::TooManyFailures { .. } | Self::Refused(_) | Self::NotJoined | Self::JobEnded => {
                None
            }
        }
    }
}
