//! Bodies of the replies of `/jobs`. The command line reads them too.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Executor, JobCounts, JobPlan, JobState, Timestamp};
use crate::jobs::JobView;
use crate::jobs::remote::remote_workers::{WORKERS, WorkerView};
use crate::jobs::run::progress::StageReport;
use crate::ledger::LogPage;

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// The state: `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.
    #[schema(value_type = JobState)]
    pub status: String,
    /// Why the job failed, or a note on its success.
    pub message: Option<String>,
    /// What runs the job: `local`, `workers` or `ray`.
    #[schema(value_type = Executor)]
    pub executor: String,
    /// The bucket.
    pub s3_bucket: String,
    /// The prefix.
    pub s3_prefix: String,
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The key of the metadata file, if the job has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_key: Option<String>,
    /// When the job was submitted, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub submitted_at: String,
    /// When the job started, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When the job ended, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// The job whose failed images or unfinished work this job takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid)]
    pub retry_of: Option<String>,
    /// For a dry run: what the job would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanReply>,
    /// Number of keys in each state.
    pub counts: CountsReply,
    /// Images per second: over the last 30 s while the job runs, over the whole run after its end; `null` before it
    /// starts.
    pub images_per_second: Option<f64>,
    /// Images per second over the whole run, since the job started or since the service was restarted.
    #[serde(default)]
    pub images_per_second_overall: Option<f64>,
    /// Estimated seconds until the end of the job, if known.
    pub eta_seconds: Option<u64>,
    /// The stage that limits the speed of the job.
    pub bottleneck: Option<String>,
    /// The dependency that the job waits for.
    pub waiting_on: Option<WaitingReply>,
    /// The workers of the job, while it runs with the executor `workers` or `ray`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerReply>,
    /// Time of each stage; `null` before the job starts.
    pub stages: Option<StagesReply>,
}

/// A job, with the fields of `GET /ray/jobs/{id}` of iNatInq.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RayJobReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// The state: `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.
    #[schema(value_type = JobState)]
    pub status: String,
    /// Why the job failed, or a note on its success.
    pub message: Option<String>,
}

/// What a job would do, according to a dry run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PlanReply {
    /// Number of images that the collection does not have.
    pub new: u64,
    /// Number of images that the collection has in another version, or not in every store.
    pub changed: u64,
    /// Number of records that `sync` would remove.
    pub deleted: u64,
    /// Some keys of each kind.
    pub examples: ExamplesReply,
}

/// Keys of a plan, at most ten of each kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ExamplesReply {
    /// Keys of new images.
    pub new: Vec<String>,
    /// Keys of changed images.
    pub changed: Vec<String>,
    /// Keys of images that would be removed.
    pub deleted: Vec<String>,
}

/// Number of keys of a job in each state.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CountsReply {
    /// Keys that were listed.
    pub listed: u64,
    /// Listed keys that do not have the name of an image.
    pub skipped: u64,
    /// Listed images that the collection already has, unchanged.
    pub unchanged: u64,
    /// Images that this job has indexed.
    pub done: u64,
    /// Images that could not be indexed; see `/jobs/{id}/failures`.
    pub failed: u64,
    /// Records that were removed because their object is no longer in the bucket.
    pub deleted: u64,
    /// Images that the job still has to process.
    pub left: u64,
}

/// A worker of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WorkerReply {
    /// The name of the worker.
    pub name: String,
    /// The name of its machine, if the worker reported one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Images that the worker processes at the moment.
    pub leased: u64,
    /// Images that the worker has processed since it or the service started.
    pub done: u64,
    /// Images per second over the last 30 s.
    pub images_per_second: f64,
    /// When the worker last sent a request, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub last_seen: String,
}

/// A dependency that a job waits for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WaitingReply {
    /// The name of the dependency: `s3`, `clip`, `qdrant`…
    pub dependency: String,
    /// Since when the job waits, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub since: String,
    /// When the next attempt is made, in RFC 3339 format. Absent if none is planned: a job that waits for workers
    /// continues when one joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_try: Option<String>,
    /// What the job waits for, as text.
    pub message: String,
}

/// Time of each stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StagesReply {
    /// Reading images from the bucket.
    pub fetch: StageReply,
    /// Decoding and resizing images.
    pub prepare: StageReply,
    /// Calls of the embedding provider.
    pub embed: StageReply,
    /// Calls of the stores.
    pub upsert: StageReply,
}

/// Time in one stage.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StageReply {
    /// Share of the time in which the lanes of the stage work, 0 to 1.
    pub busy: f64,
    /// Median time of one unit of work, in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile of the time of one unit of work, in milliseconds.
    pub p95_ms: f64,
}

/// A page of jobs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobsReply {
    /// The jobs, newest first.
    pub jobs: Vec<JobReply>,
    /// The value of `before` for the next page; `null` on the last page.
    #[schema(format = Uuid)]
    pub next: Option<String>,
}

/// The log of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogsReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// The lines, as one string with newlines.
    pub logs: String,
    /// The value of `offset` for the lines after these.
    pub next: i64,
    /// Whether there are more lines after these already.
    pub more: bool,
    /// Whether older lines exist that are not in this reply; `offset=0` returns the log from its beginning.
    pub older: bool,
}

impl LogsReply {
    /// Builds the reply from the lines that were read after `offset`.
    pub(in crate::api) fn new(job_id: String, page: LogPage, offset: Option<i64>) -> Self {
        let next = page.lines.last().map(|(number, _)| *number).or(offset).unwrap_or(0);
        let lines: Vec<String> = page.lines.into_iter().map(|(_, line)| line).collect();
        Self { job_id, logs: lines.join("\n"), next, more: page.more, older: page.older }
    }
}

/// A job that was stopped.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StopReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// `stopped`
    pub status: String,
}

impl JobReply {
    /// Whether the job has ended.
    pub fn is_final(&self) -> bool {
        JobState::from_name(&self.status).is_none_or(JobState::is_final)
    }
}

impl From<JobView> for JobReply {
    fn from(view: JobView) -> Self {
        let JobView { job, pace, eta_seconds, waiting_on, workers } = view;
        let counts = CountsReply::from(job.counts);
        // A dry run has no images left: they are in its plan.
        let counts = if job.spec.dry_run { CountsReply { left: 0, ..counts } } else { counts };
        let plan = job.plan.or_else(|| job.spec.dry_run.then(JobPlan::default));
        let overall = pace.as_ref().and_then(|pace| pace.overall);
        let (rate, stages) = pace.map(|pace| (pace.images_per_second, pace.stages)).unzip();
        Self {
            job_id: job.id.to_string(),
            status: job.state.as_str().to_owned(),
            message: job.message,
            executor: job.spec.executor.as_str().to_owned(),
            s3_bucket: job.spec.bucket,
            s3_prefix: job.spec.prefix,
            collection: job.spec.collection.to_string(),
            metadata_key: job.spec.metadata_key,
            submitted_at: job.submitted_at.to_string(),
            started_at: job.started_at.map(|time| time.to_string()),
            finished_at: job.finished_at.map(|time| time.to_string()),
            retry_of: job.spec.continues.or(job.spec.retry_of).map(|id| id.to_string()),
            plan: plan.map(PlanReply::from),
            counts,
            images_per_second: rate,
            images_per_second_overall: overall,
            eta_seconds,
            bottleneck: stages.as_ref().and_then(|stages| stages.bottleneck.clone()),
            waiting_on: waiting_on.map(|waiting| WaitingReply {
                message: match waiting.dependency.as_str() {
                    WORKERS => waiting.message,
                    "ledger" if !waiting.full => {
                        "the ledger cannot be read or written (see the log); the job continues when it can".to_owned()
                    }
                    full if waiting.full => format!("{full} has no space left; the job continues when there is space"),
                    dependency => format!("{dependency} does not answer; the job continues when it does"),
                },
                dependency: waiting.dependency,
                since: Timestamp::from(waiting.since).to_string(),
                next_try: waiting.next_try.map(|time| Timestamp::from(time).to_string()),
            }),
            workers: workers.into_iter().map(WorkerReply::from).collect(),
            stages: stages.map(|stages| {
                let reply =
                    |stage: StageReport| StageReply { busy: stage.busy, p50_ms: stage.p50_ms, p95_ms: stage.p95_ms };
                StagesReply {
                    fetch: reply(stages.fetch),
                    prepare: reply(stages.prepare),
                    embed: reply(stages.embed),
                    upsert: reply(stages.upsert),
                }
            }),
        }
    }
}

impl From<WorkerView> for WorkerReply {
    fn from(worker: WorkerView) -> Self {
        let WorkerView { name, node, leased, done, images_per_second, last_seen } = worker;
        Self { name, node, leased, done, images_per_second, last_seen: Timestamp::from(last_seen).to_string() }
    }
}

impl From<JobPlan> for PlanReply {
    fn from(plan: JobPlan) -> Self {
        let JobPlan { new, changed, deleted, excluded: _, examples } = plan;
        let examples = ExamplesReply { new: examples.new, changed: examples.changed, deleted: examples.deleted };
        Self { new, changed, deleted, examples }
    }
}

impl From<JobCounts> for CountsReply {
    fn from(counts: JobCounts) -> Self {
        let JobCounts { listed, skipped, unchanged, done, failed, deleted } = counts;
        Self { listed, skipped, unchanged, done, failed, deleted, left: counts.left() }
    }
}
