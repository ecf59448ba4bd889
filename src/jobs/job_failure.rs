//! Why a job could not continue.

use crate::collection_models::ModelError;
use crate::domain::{DependencyError, FailureAttribution, FailureKind, JobState, SpaceMismatch};
use crate::embed::EmbedError;
use crate::index::IndexError;
use crate::jobs::placing::error::PlaceError;
use crate::jobs::pool::PoolError;
use crate::jobs::pool::broker::LeaseError;
use crate::jobs::run::metadata::MetadataError;
use crate::ledger::LedgerError;
use crate::pipeline::RunError;
use crate::source::SourceError;

/// What to do after the operator has fixed the problem.
const RETRY_ADVICE: &str = "Then retry the job: images that are done are kept";

/// Why a job could not continue. [`JobFailure::client_message`] returns the job's message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobFailure {
    #[error("listing the bucket: {0}")]
    Listing(#[source] SourceError),
    #[error("reading the bucket: {0}")]
    Bucket(#[source] SourceError),
    #[error("worker {worker}: {problem}")]
    Worker { worker: String, problem: String },
    #[error("embedding provider: {0}")]
    Provider(#[source] EmbedError),
    #[error(transparent)]
    Model(ModelError),
    #[error("store: {0}")]
    Store(#[source] IndexError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    #[error(transparent)]
    Space(SpaceMismatch),
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Lease(LeaseError),
    #[error(transparent)]
    Placing(#[from] PlaceError),
    #[error("the job ended, but {0} images are not processed; submit the job again")]
    Unfinished(u64),
    #[error(
        "{vanished} of the {owned} objects that this prefix has in the collection are gone from the bucket, more than \
         max_delete_percent = {percent} allows; nothing was removed. If this is intended, set a larger \
         max_delete_percent"
    )]
    TooMuchVanished { vanished: u64, owned: u64, percent: u8 },
    #[error(
        "the bucket lists its keys out of order (`{key}` after `{before}`), so sync cannot find the objects that \
         have vanished: nothing was removed. Submit the job without sync"
    )]
    Unordered { before: String, key: String },
    #[error(
        "the bucket lists its keys out of order (`{key}` after `{before}`), so they cannot be listed in several lanes. Set \
         S3_LIST_LANES to 1 and retry the job: images that are done are kept"
    )]
    UnorderedLanes { before: String, key: String },
    #[error(
        "the bucket returned the key `{key}`, which does not start with the prefix `{prefix}`: nothing was removed. The \
         service at S3_ENDPOINT must compare prefixes byte by byte (ListObjectsV2); check the letters of s3_prefix, or \
         submit the job without it"
    )]
    OutsidePrefix { key: String, prefix: String },
    #[error(
        "the listing of the bucket is not stable: it returned the key `{key}` again on a later page, so other keys can \
         be missing. The service at S3_ENDPOINT must list the keys of all pages in one order (ListObjectsV2)"
    )]
    Unstable { key: String },
    #[error("the job's code panicked; the log has the details")]
    Panicked,
}

impl JobFailure {
    /// Returns the error of the ledger, if this is one. If it may pass, the job does not fail but waits.
    pub(super) fn ledger_error(&self) -> Option<&LedgerError> {
        match self {
            Self::Ledger(error)
            | Self::Metadata(MetadataError::Ledger(error))
            | Self::Lease(LeaseError::Ledger(error))
            | Self::Placing(PlaceError::Ledger(error)) => Some(error),
            Self::Listing(_)
            | Self::Bucket(_)
            | Self::Worker { .. }
            | Self::Metadata(_)
            | Self::Provider(_)
            | Self::Model(_)
            | Self::Store(_)
            | Self::Dependency(_)
            | Self::Space(_)
            | Self::Lease(_)
            | Self::Placing(_)
            | Self::Unfinished(_)
            | Self::TooMuchVanished { .. }
            | Self::Unordered { .. }
            | Self::UnorderedLanes { .. }
            | Self::OutsidePrefix { .. }
            | Self::Unstable { .. }
            | Self::Panicked => None,
        }
    }

    /// Returns the message for a client. A dependency's own message is only in the log.
    pub(super) fn client_message(&self) -> String {
        match self {
            Self::Listing(SourceError::Dependency(down))
            | Self::Bucket(SourceError::Dependency(down))
            | Self::Metadata(MetadataError::Source(_, SourceError::Dependency(down)))
            | Self::Provider(EmbedError::Dependency(down))
            | Self::Store(IndexError::Dependency(down))
            | Self::Dependency(down)
            | Self::Lease(LeaseError::Service(down)) => dependency_message(down),
            Self::Ledger(_)
            | Self::Metadata(MetadataError::Ledger(_))
            | Self::Lease(LeaseError::Ledger(_))
            | Self::Placing(PlaceError::Ledger(_)) => {
                "the ledger could not be read or written; the log has the details".to_owned()
            }
            Self::Listing(error) | Self::Bucket(error) | Self::Metadata(MetadataError::Source(_, error))
                if error.attribution() == FailureAttribution::Operator =>
            {
                format!("{self}. {RETRY_ADVICE}")
            }
            Self::Worker { .. } => format!("{self}. {RETRY_ADVICE}"),
            Self::Model(error) => error.for_client(),
            Self::Listing(_)
            | Self::Bucket(_)
            | Self::Metadata(_)
            | Self::Provider(_)
            | Self::Store(_)
            | Self::Space(_)
            | Self::Lease(_)
            | Self::Placing(_)
            | Self::Unfinished(_)
            | Self::TooMuchVanished { .. }
            | Self::Unordered { .. }
            | Self::UnorderedLanes { .. }
            | Self::OutsidePrefix { .. }
            | Self::Unstable { .. }
            | Self::Panicked => self.to_string(),
        }
    }

    /// Returns the own message of the bucket's service, for the log.
    pub(super) fn detail(&self) -> &str {
        match self {
            Self::Listing(error) | Self::Bucket(error) | Self::Metadata(MetadataError::Source(_, error)) => {
                error.detail()
            }
            Self::Worker { .. }
            | Self::Metadata(_)
            | Self::Provider(_)
            | Self::Model(_)
            | Self::Store(_)
            | Self::Dependency(_)
            | Self::Space(_)
            | Self::Ledger(_)
            | Self::Lease(_)
            | Self::Placing(_)
            | Self::Unfinished(_)
            | Self::TooMuchVanished { .. }
            | Self::Unordered { .. }
            | Self::UnorderedLanes { .. }
            | Self::OutsidePrefix { .. }
            | Self::Unstable { .. }
            | Self::Panicked => "",
        }
    }

    /// Returns whether a retry of the job continues its work. A job that ended because of its images is not continued.
    pub(super) fn leaves_work(&self) -> bool {
        match self {
            Self::Lease(LeaseError::TooManyFailures { .. })
            | Self::TooMuchVanished { .. }
            | Self::Placing(PlaceError::Stopped) => false,
            Self::Listing(_)
            | Self::Bucket(_)
            | Self::Worker { .. }
            | Self::Metadata(_)
            | Self::Provider(_)
            | Self::Model(_)
            | Self::Store(_)
            | Self::Dependency(_)
            | Self::Space(_)
            | Self::Ledger(_)
            | Self::Lease(_)
            | Self::Placing(_)
            | Self::Unfinished(_)
            | Self::Unordered { .. }
            | Self::UnorderedLanes { .. }
            | Self::OutsidePrefix { .. }
            | Self::Unstable { .. }
            | Self::Panicked => true,
        }
    }

    /// Returns the final state of a job that ended with this.
    pub(super) fn state(&self) -> JobState {
        match self {
            // A user who stops the workers on the cluster wants to stop the job.
            Self::Placing(PlaceError::Stopped) => JobState::Stopped,
            Self::Listing(_)
            | Self::Bucket(_)
            | Self::Worker { .. }
            | Self::Provider(_)
            | Self::Model(_)
            | Self::Store(_)
            | Self::Metadata(_)
            | Self::Dependency(_)
            | Self::Space(_)
            | Self::Ledger(_)
            | Self::Lease(_)
            | Self::Placing(_)
            | Self::Unfinished(_)
            | Self::TooMuchVanished { .. }
            | Self::Unordered { .. }
            | Self::UnorderedLanes { .. }
            | Self::OutsidePrefix { .. }
            | Self::Unstable { .. }
            | Self::Panicked => JobState::Failed,
        }
    }
}

impl From<RunError> for JobFailure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Dependency(down) => Self::Dependency(down),
            RunError::Bucket(error) => Self::Bucket(error),
            RunError::Provider(error) => Self::Provider(error),
            RunError::Space(mismatch) => Self::Space(mismatch),
        }
    }
}

impl From<PoolError> for JobFailure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Lease(error) => Self::Lease(error),
            PoolError::Run(error) => error.into(),
        }
    }
}

fn dependency_message(down: &DependencyError) -> String {
    let what = match down.failure {
        FailureKind::Unavailable { .. } => "was unavailable",
        FailureKind::TimedOut => "did not answer in time",
        FailureKind::Busy { .. } => "was busy",
        FailureKind::Full => "had no space left",
        FailureKind::Failed => "failed",
        FailureKind::Refused => "refused the request: check its settings",
        FailureKind::Misconfigured => {
            return format!(
                "{}. Submit the job again after you have changed this: images that are done are kept",
                down.for_client()
            );
        }
    };
    format!(
        "{} {what}; its message is in the log. Submit the job again: images that are done are kept",
        down.dependency
    )
}
