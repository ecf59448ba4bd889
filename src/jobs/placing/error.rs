//! Why a job whose workers are placed by a cluster could not continue.

use crate::jobs::placing::cluster::ClusterError;
use crate::ledger::LedgerError;

/// Why a job whose workers are placed by a cluster could not continue. Every message except the ledger's is safe to
/// show to a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    #[error("{0}. Submit the job again: images that are done are kept")]
    Cluster(ClusterError),
    #[error("the job's workers are placed by Ray, and RAY_ADDRESS is not set: set it, and submit the job again")]
    NoCluster,
    #[error("a worker token could not be made: the system gave no random bytes")]
    NoToken,
    #[error("Ray could not start the job's workers: {0}")]
    StartFailed(String),
    #[error(
        "the job's workers ended {times} times in Ray without processing an image (RAY_TASK_MAX_RETRIES); the last \
         time: {reason}. The job's log has their output. Submit the job again: images that are done are kept"
    )]
    NoProgress { times: u32, reason: String },
    #[error(
        "every worker that Ray started was refused ({}); use the same version and settings on the cluster's nodes as in \
         the service. Submit the job again: images that are done are kept",
        .0.as_deref().unwrap_or("the job's log has the reason")
    )]
    Refused(Option<String>),
    #[error("stopped in Ray")]
    Stopped,
    #[error("the job took longer than the {0} s of RAY_JOB_TIMEOUT. Submit it again: images that are done are kept")]
    TimedOut(u64),
}
