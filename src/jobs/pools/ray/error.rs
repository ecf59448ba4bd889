//! Why a job whose workers a cluster places could not go on.

use crate::jobs::cluster::ClusterError;
use crate::sqlite::SqliteError;

/// Why a job whose workers a cluster places could not go on. All but the ledger's is fit for a client.
#[derive(Debug, thiserror::Error)]
pub(in crate::jobs) enum PlaceError {
    #[error("ledger: {0}")]
    Ledger(#[from] SqliteError),
    #[error("{0}. Submit the job again: what is done is kept")]
    Cluster(ClusterError),
    #[error("the job's workers are placed by Ray, and RAY_ADDRESS is not set: set it, and submit the job again")]
    NoCluster,
    #[error("no token could be made: the system has no random numbers")]
    NoToken,
    #[error("Ray could not begin the job's workers: {0}")]
    Unfit(String),
    #[error(
        "Ray ended the job's workers {times} times, and no image was dealt with meanwhile (RAY_TASK_MAX_RETRIES); the last \
         time: {said}. The job's log has what they said. Submit the job again: what is done is kept"
    )]
    Fruitless { times: u32, said: String },
    #[error(
        "every worker that Ray started was refused ({}); bring the nodes' image and settings in line with the service's. \
         Submit the job again: what is done is kept",
        .0.as_deref().unwrap_or("the job's log says why")
    )]
    Refused(Option<String>),
    #[error("stopped in Ray")]
    Stopped,
    #[error("the job took longer than the {0} s of RAY_JOB_TIMEOUT. Submit it again: what is done is kept")]
    TimedOut(u64),
}
