//! Why a job could not go on.

use super::lease::LeaseError;
use super::metadata::MetadataError;
use super::pools::{PlaceError, PoolError};
use crate::domain::{DependencyError, FailureAttribution, JobState, SpaceMismatch, Trouble};
use crate::embed::EmbedError;
use crate::index::IndexError;
use crate::pipeline::RunError;
use crate::source::SourceError;
use crate::sqlite::SqliteError;

/// How a job goes on once the operator has changed what is named.
const RETRY: &str = "Then retry the job: what is done is kept";

/// Why a job could not go on. Its [`said`](JobTrouble::said) is the job's message.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobTrouble {
    #[error("listing the bucket: {0}")]
    Listing(#[source] SourceError),
    #[error("reading the bucket: {0}")]
    Bucket(#[source] SourceError),
    #[error("worker {worker}: {problem}")]
    Worker { worker: String, problem: String },
    #[error("embedding provider: {0}")]
    Provider(#[source] EmbedError),
    #[error("store: {0}")]
    Store(#[source] IndexError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    #[error(transparent)]
    Space(SpaceMismatch),
    #[error("ledger: {0}")]
    Ledger(#[from] SqliteError),
    #[error(transparent)]
    Lease(LeaseError),
    #[error(transparent)]
    Placing(#[from] PlaceError),
    #[error("{0} images are left, and nothing was there that would do them; submit the job again")]
    Unfinished(u64),
    #[error(
        "{vanished} of the {owned} objects that this prefix has in the collection are gone from the bucket, more than \
         max_delete_percent = {percent} allows; nothing was removed. If that is meant, give a larger max_delete_percent"
    )]
    TooMuchVanished { vanished: u64, owned: u64, percent: u8 },
    #[error(
        "the bucket lists its keys out of order (`{key}` after `{before}`), so that sync cannot tell what has vanished: \
         nothing was removed. Index it without sync"
    )]
    Unordered { before: String, key: String },
    #[error("the job's own code panicked")]
    Panicked,
}

impl JobTrouble {
    /// The ledger's error, if that is what it is. One that comes from the disk is no failure of the job, which waits.
    pub(super) fn of_ledger(&self) -> Option<&SqliteError> {
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
            | Self::Store(_)
            | Self::Dependency(_)
            | Self::Space(_)
            | Self::Lease(_)
            | Self::Placing(_)
            | Self::Unfinished(_)
            | Self::TooMuchVanished { .. }
            | Self::Unordered { .. }
            | Self::Panicked => None,
        }
    }

    /// In words for a client: what a dependency said itself stays in the log.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Listing(SourceError::Dependency(down))
            | Self::Bucket(SourceError::Dependency(down))
            | Self::Metadata(MetadataError::Source(_, SourceError::Dependency(down)))
            | Self::Provider(EmbedError::Dependency(down))
            | Self::Store(IndexError::Dependency(down))
            | Self::Dependency(down)
            | Self::Lease(LeaseError::Service(down)) => dependency(down),
            Self::Ledger(_)
            | Self::Metadata(MetadataError::Ledger(_))
            | Self::Lease(LeaseError::Ledger(_))
            | Self::Placing(PlaceError::Ledger(_)) => "the ledger could not be read or written; see the log".to_owned(),
            Self::Listing(error) | Self::Bucket(error) | Self::Metadata(MetadataError::Source(_, error))
                if error.attribution() == FailureAttribution::Operator =>
            {
                format!("{self}. {RETRY}")
            }
            Self::Worker { .. } => format!("{self}. {RETRY}"),
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
            | Self::Panicked => self.to_string(),
        }
    }

    /// What the bucket's service said itself, for the log.
    pub(super) fn detail(&self) -> &str {
        match self {
            Self::Listing(error) | Self::Bucket(error) | Self::Metadata(MetadataError::Source(_, error)) => {
                error.detail()
            }
            Self::Worker { .. }
            | Self::Metadata(_)
            | Self::Provider(_)
            | Self::Store(_)
            | Self::Dependency(_)
            | Self::Space(_)
            | Self::Ledger(_)
            | Self::Lease(_)
            | Self::Placing(_)
            | Self::Unfinished(_)
            | Self::TooMuchVanished { .. }
            | Self::Unordered { .. }
            | Self::Panicked => "",
        }
    }

    /// Whether work is left that a retry of the job takes up. Not if the job was ended for what its images are.
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
            | Self::Store(_)
            | Self::Dependency(_)
            | Self::Space(_)
            | Self::Ledger(_)
            | Self::Lease(_)
            | Self::Placing(_)
            | Self::Unfinished(_)
            | Self::Unordered { .. }
            | Self::Panicked => true,
        }
    }

    /// How a job ends that came to this.
    pub(super) fn state(&self) -> JobState {
        match self {
            // Whoever stops its workers where they run means the job.
            Self::Placing(PlaceError::Stopped) => JobState::Stopped,
            Self::Listing(_)
            | Self::Bucket(_)
            | Self::Worker { .. }
            | Self::Provider(_)
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
            | Self::Panicked => JobState::Failed,
        }
    }
}

impl From<RunError> for JobTrouble {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Dependency(down) => Self::Dependency(down),
            RunError::Bucket(error) => Self::Bucket(error),
            RunError::Provider(error) => Self::Provider(error),
            RunError::Space(moved) => Self::Space(moved),
        }
    }
}

impl From<PoolError> for JobTrouble {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Lease(error) => Self::Lease(error),
            PoolError::Run(error) => error.into(),
        }
    }
}

fn dependency(down: &DependencyError) -> String {
    let what = match down.trouble {
        Trouble::Unavailable { .. } => "was unavailable",
        Trouble::TimedOut => "did not answer in time",
        Trouble::Busy { .. } => "was busy",
        Trouble::Full => "had no space left",
        Trouble::Failed => "failed",
        Trouble::Refused => "refused us: check its settings",
        Trouble::Misconfigured => {
            return format!("{}. Submit the job again when that is changed: what is done is kept", down.for_client());
        }
    };
    format!("{} {what}; what it said is in the log. Submit the job again: what is done is kept", down.dependency)
}
