//! Why a request about jobs is refused.

use super::cluster::ClusterError;
use super::worker_name::InvalidWorkerName;
use crate::domain::{CollectionName, InvalidCollectionName, JobId, JobState, SpaceMismatch};
use crate::index::IndexError;
use crate::sqlite::SqliteError;

/// Why a request about jobs is refused.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// A malformed collection name.
    #[error(transparent)]
    Collection(#[from] InvalidCollectionName),
    /// A bucket that jobs may not name.
    #[error("jobs may not read the bucket `{0}`; it is not in S3_ALLOWED_BUCKETS")]
    BucketNotAllowed(String),
    /// A metadata file of a kind that is not read.
    #[error("`{0}` is no metadata file: its name must end in .csv, .ndjson or .jsonl")]
    MetadataKey(String),
    /// Not the token of this job.
    #[error("this is not the job's worker token, as the reply to its submission gave it (GLIMPSE_WORKER_TOKEN)")]
    WorkerToken,
    /// The system has no random numbers.
    #[error("no token could be made")]
    NoToken,
    /// The job has ended, and its token with it.
    #[error("the job is over: it is {}", .0.as_str())]
    Over(JobState),
    /// The worker must introduce itself.
    #[error("the worker `{0}` has not introduced itself since the service began")]
    NotJoined(String),
    /// The worker does not fit the job.
    #[error("{0}")]
    WorkerRefused(String),
    /// The name of a worker is not valid.
    #[error(transparent)]
    WorkerName(#[from] InvalidWorkerName),
    /// As many workers as a job may have.
    #[error("the job has {0} workers, as many as it may")]
    TooManyWorkers(usize),
    /// The job waits for its turn, or the service has only just begun.
    #[error("the job is not under way at this moment; say it again")]
    NotUnderWay,
    /// A field of a submission, and what is wrong with it.
    #[error("{1}")]
    Invalid(&'static str, String),
    /// There is no cluster that places workers.
    #[error("executor: `ray` needs RAY_ADDRESS, which is not set: the address of a Ray cluster's dashboard")]
    NoCluster,
    /// The cluster cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// As many jobs wait as may.
    #[error("as many jobs are waiting as may (GLIMPSE_JOB_QUEUE); try again later")]
    QueueFull,
    /// The service is about to end.
    #[error("the service is stopping and takes no more jobs")]
    Draining,
    /// No such job.
    #[error("there is no job `{0}`")]
    Unknown(String),
    /// It has ended before.
    #[error("the job has ended already: it is {}", .0.as_str())]
    AlreadyFinal(JobState),
    /// It has not ended yet.
    #[error("the job has not ended yet: it is {}; what fails in it can be retried when it has", .0.as_str())]
    NotFinal(JobState),
    /// No image of it failed.
    #[error("no image failed in the job {0}: there is nothing to retry")]
    NothingFailed(JobId),
    /// The collection is of another space.
    #[error(transparent)]
    Space(#[from] SpaceMismatch),
    /// Two stores hold a collection of one name in different spaces.
    #[error(
        "the collection `{collection}` is of another space in {} than in {}: {reason}; drop it from the one where it is wrong",
        stores[1], stores[0]
    )]
    Apart {
        /// Which.
        collection: CollectionName,
        /// In which stores.
        stores: [&'static str; 2],
        /// Where they part.
        reason: String,
    },
    /// A running job, a verification or a removal is at work there.
    #[error("the collection `{0}` is in use by a job, a verification or a removal; wait for its end, or stop it")]
    CollectionBusy(CollectionName),
    /// A store refused or failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] SqliteError),
}
