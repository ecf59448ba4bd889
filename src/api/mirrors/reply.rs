//! Mirrors, as the API returns them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Executor, JobRecord, JobSpec, JobState, MirrorName, MirrorState};
use crate::mirrors::{MirrorView, Recent};

/// A mirror.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MirrorReply {
    /// The name.
    pub name: String,
    /// `active`, `paused` (by a client), or `stopped` (by the service, with a reason).
    #[schema(value_type = MirrorState)]
    pub state: String,
    /// Why the service stopped the mirror.
    pub reason: Option<String>,
    /// The bucket.
    pub s3_bucket: String,
    /// The prefix.
    pub s3_prefix: String,
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The cron expression of the runs.
    pub schedule: Option<String>,
    /// The time zone of the schedule.
    pub timezone: String,
    /// Whether images that are no longer in the bucket are removed.
    pub sync: bool,
    /// The maximum percentage of the images that a run removes.
    #[schema(maximum = 100)]
    pub max_delete_percent: u8,
    /// The globs of keys that are not indexed; `null` for those of `S3_EXCLUDE`.
    pub exclude: Option<Vec<String>>,
    /// The key of the metadata file.
    pub metadata_key: Option<String>,
    /// What executes the runs.
    #[schema(value_type = Executor)]
    pub executor: String,
    /// Whether events are processed.
    pub events: bool,
    /// The ARN of the topic of SNS whose messages are accepted.
    pub sns_topic_arn: Option<String>,
    /// When the mirror was created, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the next scheduled run starts, in RFC 3339 format; `null` without a schedule, or if the mirror is not active.
    #[schema(format = DateTime)]
    pub next_run: Option<String>,
    /// Whether a run starts as soon as possible, or when the mirror is resumed, for example because events were dropped.
    pub run_soon: bool,
    /// The newest run, if it is still in the list of jobs.
    pub last_run: Option<MirrorRunReply>,
    /// Keys that events have named and that are still to be compared with the bucket.
    pub waiting_keys: u64,
    /// Events that arrived in the last minute.
    pub events_per_minute: u64,
    /// Seconds from the last change of the object that was indexed last because of an event until searches found it; `null` if
    /// there was none since the service started.
    pub lag_seconds: Option<f64>,
    /// Why the keys of events are tried again, if they are.
    pub problem: Option<String>,
    /// What in its fields has effects that may not be wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Only in the reply that created the mirror: the token of its events, for `Authorization: Bearer TOKEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_token: Option<String>,
}

/// A run of a mirror.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MirrorRunReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// The state of the job.
    #[schema(value_type = JobState)]
    pub status: String,
    /// Why the job failed, or a note on its success.
    pub message: Option<String>,
    /// When the job was submitted, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub submitted_at: String,
    /// When the job ended, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
}

/// All mirrors.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MirrorsReply {
    /// The mirrors, in the order of their names.
    pub mirrors: Vec<MirrorReply>,
}

/// A mirror that was removed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RemovedMirrorReply {
    /// The name.
    pub name: String,
    /// `removed`
    pub status: String,
}

/// A run that was submitted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunReply {
    /// The id of the job; its status is at `/jobs/{job_id}`.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// `submitted`
    pub status: String,
}

/// A new token of the events of a mirror.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventTokenReply {
    /// The name of the mirror.
    pub name: String,
    /// The token, for `Authorization: Bearer TOKEN`. It is returned only once.
    pub event_token: String,
}

impl From<MirrorView> for MirrorReply {
    fn from(view: MirrorView) -> Self {
        let MirrorView { mirror, last_run, waiting_keys, recent, overlapping } = view;
        let next_run = mirror.next_run.filter(|_| mirror.state == MirrorState::Active);
        let Recent { events_per_minute, lag_seconds, problem } = recent;
        let spec = mirror.spec;
        Self {
            name: mirror.name.to_string(),
            state: mirror.state.as_str().to_owned(),
            reason: mirror.reason,
            s3_bucket: spec.bucket,
            s3_prefix: spec.prefix,
            collection: spec.collection.to_string(),
            schedule: spec.schedule,
            timezone: spec.timezone,
            sync: spec.sync,
            max_delete_percent: spec.max_delete_percent.unwrap_or(JobSpec::MAX_DELETE_PERCENT),
            exclude: spec.exclude,
            metadata_key: spec.metadata_key,
            executor: spec.executor.as_str().to_owned(),
            events: spec.events,
            sns_topic_arn: spec.sns_topic_arn.map(String::from),
            created_at: mirror.created_at.to_string(),
            next_run: next_run.map(|time| time.to_string()),
            run_soon: mirror.list_soon,
            last_run: last_run.map(MirrorRunReply::from),
            waiting_keys,
            events_per_minute,
            lag_seconds,
            problem,
            warnings: overlapping.iter().map(overlap_warning).collect(),
            event_token: None,
        }
    }
}

fn overlap_warning(other: &MirrorName) -> String {
    format!(
        "the mirror `{other}` has some of the same keys in the same collection: both read them, and with `sync` each removes \
         the images of the other that it excludes; give them prefixes that do not overlap"
    )
}

impl From<JobRecord> for MirrorRunReply {
    fn from(job: JobRecord) -> Self {
        Self {
            job_id: job.id.to_string(),
            status: job.state.as_str().to_owned(),
            message: job.message,
            submitted_at: job.submitted_at.to_string(),
            finished_at: job.finished_at.map(|time| time.to_string()),
        }
    }
}
