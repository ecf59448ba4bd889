//! A job: what the client requested, and its state.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{CollectionName, FailureLimit, JobPlan, MirrorName, Rebuild, Timestamp};

/// A job's id: UUID v7, so that ids sort by time of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// Returns a new id, which sorts after all earlier ids.
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

/// Where the work of a job is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Executor {
    /// In the worker pool of this process.
    #[default]
    Local,
    /// By remote workers, which lease items from this service.
    Workers,
    /// By remote workers that this service starts on a Ray cluster.
    Ray,
}

impl Executor {
    /// Every executor.
    pub const ALL: [Self; 3] = [Self::Local, Self::Workers, Self::Ray];

    /// Returns the executor with this lower-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|executor| executor.as_str() == name)
    }

    /// Returns the lower-case name, as in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Workers => "workers",
            Self::Ray => "ray",
        }
    }
}

/// What a job completes in records that exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Refresh {
    /// What is derived from the image's bytes and metadata, in records of earlier versions. The vectors stay.
    Facts,
}

impl Refresh {
    /// Returns the value with this lower-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        (name == "facts").then_some(Self::Facts)
    }
}

/// What a client requested, after validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The bucket that contains the images.
    pub bucket: String,
    /// Only keys with this prefix are taken; empty for all keys.
    pub prefix: String,
    /// The collection that the vectors are written to; for a rebuild, its name in the stores.
    pub collection: CollectionName,
    /// Maximum number of images to index.
    pub max_items: Option<u64>,
    /// Take keys with any extension: the magic bytes decide the format.
    pub any_extension: bool,
    /// The job fails if more items than this fail.
    pub max_failures: Option<FailureLimit>,
    /// Key of an object in the same bucket whose rows are joined to the images. Jobs of earlier versions have none.
    #[serde(default)]
    pub metadata_key: Option<String>,
    /// Remove records whose object no longer exists. Jobs of earlier versions have neither this field nor the following
    /// ones.
    #[serde(default)]
    pub sync: bool,
    /// Report what would be done, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Maximum share of the records below the job's prefix that may be removed from the collection, in percent.
    #[serde(default = "default_max_delete_percent")]
    pub max_delete_percent: u8,
    /// Take only the failed images of this job.
    #[serde(default)]
    pub retry_of: Option<JobId>,
    /// Globs of keys that are not indexed. `None` in jobs of earlier versions: the globs of the service apply.
    #[serde(default)]
    pub exclude: Option<Vec<String>>,
    /// The job whose unfinished work this job continues, with the options of that job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<JobId>,
    /// Number of images that the continued jobs have indexed: [`JobSpec::max_items`] limits all of these jobs together.
    #[serde(default)]
    pub taken: u64,
    /// Complete records of earlier versions, and index nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
    /// The mirror that the job is a run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorName>,
    /// The generation that the job builds, from the images that the collection has now. Only for rebuilds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<Rebuild>,
    /// Where the work is done.
    pub executor: Executor,
}

fn default_max_delete_percent() -> u8 {
    JobSpec::MAX_DELETE_PERCENT
}

impl JobSpec {
    /// Value of [`JobSpec::max_delete_percent`] if the client does not set it.
    pub const MAX_DELETE_PERCENT: u8 = 10;

    /// Returns the name of the collection for clients.
    pub fn visible_collection(&self) -> &CollectionName {
        self.rebuild.as_ref().map_or(&self.collection, |rebuild| &rebuild.collection)
    }
}

/// The state of a job. The names are those of iNatInq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobState {
    /// The job waits to be started.
    Pending,
    /// The job is running.
    Running,
    /// A client paused the job. It continues when a client resumes it.
    Paused,
    /// All items are indexed or have failed, within `max_failures`.
    Succeeded,
    /// The job could not continue; its message says why.
    Failed,
    /// A client stopped the job.
    Stopped,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Paused, Self::Succeeded, Self::Failed, Self::Stopped];

    /// Returns the upper-case name, as in replies and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Stopped => "STOPPED",
        }
    }

    /// Returns the state with this upper-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether the job has ended.
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Paused => false,
            Self::Succeeded | Self::Failed | Self::Stopped => true,
        }
    }
}

/// How many of a job's keys are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// Keys in the listing.
    pub listed: u64,
    /// Listed keys that are not indexed: their name does not look like an image, they are excluded, or the image was removed
    /// permanently.
    pub skipped: u64,
    /// Listed images that the collection already has in the same version.
    pub unchanged: u64,
    /// Images indexed by this job.
    pub done: u64,
    /// Images that could not be indexed.
    pub failed: u64,
    /// Records that were removed because their object no longer exists.
    pub deleted: u64,
}

impl JobCounts {
    /// Returns the number of listed images that are neither indexed nor failed yet.
    pub fn left(&self) -> u64 {
        self.listed.saturating_sub(self.skipped + self.unchanged + self.done + self.failed)
    }
}

/// A job as the ledger stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// Id of the job.
    pub id: JobId,
    /// What the client requested.
    pub spec: JobSpec,
    /// State of the job.
    pub state: JobState,
    /// Why the job failed, or a note about its success.
    pub message: Option<String>,
    /// When the job was accepted.
    pub submitted_at: Timestamp,
    /// When the work on the job began.
    pub started_at: Option<Timestamp>,
    /// When the job ended.
    pub finished_at: Option<Timestamp>,
    /// Since when the job is paused.
    pub paused_at: Option<Timestamp>,
    /// Numbers of keys by state.
    pub counts: JobCounts,
    /// For a dry run: what the job would do.
    pub plan: Option<JobPlan>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_and_executor_is_parsed_back_from_its_name() {
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
    fn the_number_left_is_never_below_zero() {
        let counts = JobCounts { listed: 10, skipped: 2, unchanged: 1, done: 3, failed: 1, deleted: 9 };
        assert_eq!(counts.left(), 3);
        assert_eq!(JobCounts { done: 1, ..JobCounts::default() }.left(), 0);
    }
}
