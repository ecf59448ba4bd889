//! Why a request about jobs is refused.

use crate::collection_models::ModelError;
use crate::domain::{CollectionName, InvalidCollectionName, JobId, JobState, SpaceMismatch};
use crate::index::IndexError;
use crate::jobs::placing::cluster::ClusterError;
use crate::jobs::remote::protocol::worker_name::InvalidWorkerName;
use crate::ledger::LedgerError;

/// Why a request about jobs is refused.
#[derive(Debug, thiserror::Error)]
pub enum JobsError {
    /// A malformed collection name.
    #[error(transparent)]
    Collection(#[from] InvalidCollectionName),
    /// A bucket that jobs may not read.
    #[error("jobs may not read the bucket `{0}`: it is neither S3_BUCKET nor in S3_ALLOWED_BUCKETS")]
    BucketNotAllowed(String),
    /// A metadata file with an unsupported extension.
    #[error("`{0}` is not a metadata file: its name must end in .csv, .ndjson or .jsonl")]
    MetadataKey(String),
    /// The token is not the one of this job.
    #[error(
        "the worker token is wrong: set GLIMPSE_WORKER_TOKEN to the `worker_token` in the reply to the job's submission"
    )]
    WorkerToken,
    /// The system gave no random bytes.
    #[error("a worker token could not be made: the system gave no random bytes")]
    NoToken,
    /// The job has ended, so its token is not valid any more.
    #[error("the job has ended: its state is {}", .0.as_str())]
    JobEnded(JobState),
    /// The worker must join the job first.
    #[error("the worker `{0}` has not joined the job since the service started; it must join again")]
    NotJoined(String),
    /// The worker does not fit the job.
    #[error("{0}")]
    WorkerRefused(String),
    /// The name of a worker is not valid.
    #[error(transparent)]
    WorkerName(#[from] InvalidWorkerName),
    /// The job has the maximum number of workers.
    #[error("the job has {0} workers, which is the maximum")]
    TooManyWorkers(usize),
    /// The job waits for its turn, or the service has only just started.
    #[error("the job is not running at this moment; send the request again")]
    NotRunning,
    /// The name of a field of a request, and what is wrong with its value.
    #[error("{1}")]
    Invalid(&'static str, String),
    /// No cluster is configured.
    #[error("executor: `ray` needs the setting RAY_ADDRESS, the address of a Ray cluster's dashboard; it is not set")]
    NoCluster,
    /// The cluster cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The queue of waiting jobs is full.
    #[error("the queue of waiting and paused jobs is full (GLIMPSE_JOB_QUEUE); try again later")]
    QueueFull,
    /// The service is stopping.
    #[error("the service is stopping and accepts no more jobs")]
    Draining,
    /// The job does not exist.
    #[error("there is no job `{0}`")]
    Unknown(String),
    /// The job has already ended.
    #[error("the job has already ended: its state is {}", .0.as_str())]
    AlreadyFinal(JobState),
    /// The job has not ended.
    #[error("the job has not ended: its state is {}; its failed images can be retried after its end", .0.as_str())]
    NotFinal(JobState),
    /// No image of the job failed.
    #[error(
        "no image failed in the job {job}: there is nothing to retry{}",
        if *.stopped { "; it was stopped, so submit it again to index the other images" } else { "" }
    )]
    NothingFailed {
        /// The job.
        job: JobId,
        /// Whether it was stopped, so that images can be left.
        stopped: bool,
    },
    /// The collection has another space than the provider.
    #[error(transparent)]
    Space(#[from] SpaceMismatch),
    /// Two stores have the collection in different spaces.
    #[error(
        "the collection `{collection}` has another space in {} than in {}: {reason}; drop it from the \
         store whose space is wrong",
        stores[1], stores[0]
    )]
    SpaceDiffers {
        /// The collection.
        collection: CollectionName,
        /// The two stores.
        stores: [&'static str; 2],
        /// The difference between the two spaces.
        reason: String,
    },
    /// A job, a verification, an import or a removal uses the collection.
    #[error(
        "the collection `{0}` is in use by a job that runs or is paused, by a verification, an import, a removal or a switch, or by a \
         stopped job that finishes its last images; wait until it ends, or stop it"
    )]
    CollectionBusy(CollectionName),
    /// Another search for duplicates runs.
    #[error("another search for duplicates is running; try again after its end")]
    DuplicatesBusy,
    /// As many requests of this kind run as are allowed.
    #[error("{0}")]
    Busy(String),
    /// The state of a collection does not allow the request: the code of the error, and the message.
    #[error("{1}")]
    Conflict(&'static str, String),
    /// A store refused or failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The model of a generation cannot be used.
    #[error(transparent)]
    Model(ModelError),
    /// The disk of the data folder has not enough space.
    #[error("{0}")]
    NoSpace(String),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
