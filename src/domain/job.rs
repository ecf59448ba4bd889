//! A job: what was asked for, and where it stands.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{CollectionName, FailureLimit, JobPlan, Timestamp};

/// A job's id: UUID v7, so that ids sort by time of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// A new id, later than all before it.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for JobId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Who does the work of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Executor {
    /// The pool in this process.
    #[default]
    Local,
    /// Workers elsewhere, which lease from this service.
    Workers,
    /// The same, placed on a Ray cluster by this service.
    Ray,
}

impl Executor {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Local, Self::Workers, Self::Ray];

    /// The executor of that lower-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|executor| executor.as_str() == name)
    }

    /// Lower-case name, as in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Workers => "workers",
            Self::Ray => "ray",
        }
    }
}

/// What a client asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Where the images are.
    pub bucket: String,
    /// Which of its keys; empty for all.
    pub prefix: String,
    /// Where their vectors go.
    pub collection: CollectionName,
    /// Take no more than this many images.
    pub max_items: Option<u64>,
    /// Take keys of any extension: the magic bytes decide.
    pub any_extension: bool,
    /// More failed items fail the job.
    pub max_failures: Option<FailureLimit>,
    /// The object in the same bucket whose rows are joined to the images. Jobs of earlier versions have none.
    #[serde(default)]
    pub metadata_key: Option<String>,
    /// Remove records whose object has vanished. This and what follows: not in jobs of earlier versions.
    #[serde(default)]
    pub sync: bool,
    /// Say what would be done, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Refuse to remove a larger share of what the job's prefix has in the collection.
    #[serde(default = "ten")]
    pub max_delete_percent: u8,
    /// Take the failed images of this job, and no others.
    #[serde(default)]
    pub retry_of: Option<JobId>,
    /// Globs of keys that are not indexed; `None` in jobs of earlier versions: those of the service.
    #[serde(default)]
    pub exclude: Option<Vec<String>>,
    /// The job whose unfinished work this one does, with its options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<JobId>,
    /// Images that it and those before it have done: [`JobSpec::max_items`] is for all of them together.
    #[serde(default)]
    pub taken: u64,
    /// Who works.
    pub executor: Executor,
}

fn ten() -> u8 {
    JobSpec::MAX_DELETE_PERCENT
}

impl JobSpec {
    /// [`JobSpec::max_delete_percent`] where a client does not say.
    pub const MAX_DELETE_PERCENT: u8 = 10;
}

/// The states of a job, with the words of the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobState {
    /// Waits for its turn.
    Pending,
    /// At work.
    Running,
    /// All its items are done or have failed, within `max_failures`.
    Succeeded,
    /// Could not go on; its message says why.
    Failed,
    /// A client stopped it.
    Stopped,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Stopped];

    /// Upper-case word, as in replies and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Stopped => "STOPPED",
        }
    }

    /// The state of that upper-case word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Stopped => true,
        }
    }
}

/// How many of a job's keys are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// Keys that the listing has given.
    pub listed: u64,
    /// Of these, keys that are no images by their name.
    pub skipped: u64,
    /// Of these, images that the collection has already, unchanged.
    pub unchanged: u64,
    /// Images indexed by this job.
    pub done: u64,
    /// Images that could not be.
    pub failed: u64,
    /// Records removed because their object has vanished.
    pub deleted: u64,
}

impl JobCounts {
    /// Images planned but not yet dealt with.
    pub fn left(&self) -> u64 {
        self.listed.saturating_sub(self.skipped + self.unchanged + self.done + self.failed)
    }
}

/// A job as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// What was asked for.
    pub spec: JobSpec,
    /// Where it stands.
    pub state: JobState,
    /// Why it failed, or what to know of its success.
    pub message: Option<String>,
    /// Accepted at.
    pub submitted_at: Timestamp,
    /// First worked on at.
    pub started_at: Option<Timestamp>,
    /// Came to its end at.
    pub finished_at: Option<Timestamp>,
    /// Its keys.
    pub counts: JobCounts,
    /// Of a dry run: what the job would do.
    pub plan: Option<JobPlan>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for state in JobState::ALL {
            assert_eq!(JobState::from_name(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for executor in Executor::ALL {
            assert_eq!(Executor::from_name(executor.as_str()), Some(executor));
            assert_eq!(serde_json::to_value(executor).unwrap(), executor.as_str());
        }
    }

    #[test]
    fn what_is_left_never_goes_below_zero() {
        let counts = JobCounts { listed: 10, skipped: 2, unchanged: 1, done: 3, failed: 1, deleted: 9 };
        assert_eq!(counts.left(), 3);
        assert_eq!(JobCounts { done: 1, ..JobCounts::default() }.left(), 0);
    }
}
