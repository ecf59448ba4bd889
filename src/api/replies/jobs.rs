//! Bodies of `/jobs`: what is said of them. The command line reads them too.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Executor, JobCounts, JobPlan, JobState, Timestamp};
use crate::jobs::JobView;
use crate::jobs::ledger::LogPage;
use crate::jobs::progress::StageReport;
use crate::jobs::remote_workers::{WORKERS, WorkerView};

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobReply {
    /// Its id.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.
    #[schema(value_type = JobState)]
    pub status: String,
    /// Why it failed, or what to know of its success.
    pub message: Option<String>,
    /// Who works: `local`, `workers` or `ray`.
    #[schema(value_type = Executor)]
    pub executor: String,
    /// The bucket.
    pub s3_bucket: String,
    /// The prefix.
    pub s3_prefix: String,
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The metadata file, if it was given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_key: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub submitted_at: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// The job whose failed images, or whose unfinished work, this one takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid)]
    pub retry_of: Option<String>,
    /// Of a dry run: what the job would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanReply>,
    /// How many keys are where.
    pub counts: CountsReply,
    /// While it runs over the last half minute, at its end over the whole run; `null` before its turn.
    pub images_per_second: Option<f64>,
    /// The same over the whole of this run: since its turn, or since the service was started anew.
    #[serde(default)]
    pub images_per_second_overall: Option<f64>,
    /// Seconds until nothing is left, where that can be told.
    pub eta_seconds: Option<u64>,
    /// The stage that holds the others up.
    pub bottleneck: Option<String>,
    /// A dependency that it waits for.
    pub waiting_on: Option<WaitingReply>,
    /// Its workers, while it runs with `executor: workers` or `ray`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerReply>,
    /// Time per stage; `null` before its turn.
    pub stages: Option<StagesReply>,
}

/// A job in the fields of the original's `GET /ray/jobs/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RayJobReply {
    /// Its id.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.
    #[schema(value_type = JobState)]
    pub status: String,
    /// Why it failed, or what to know of its success.
    pub message: Option<String>,
}

/// What a dry run says that the job would do.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PlanReply {
    /// Images that the collection does not have.
    pub new: u64,
    /// Images that it has in another version, or not in every store.
    pub changed: u64,
    /// Records that `sync` would remove.
    pub deleted: u64,
    /// Some keys of each.
    pub examples: ExamplesReply,
}

/// Keys that a plan names, ten of each at most.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ExamplesReply {
    /// Of new images.
    pub new: Vec<String>,
    /// Of changed images.
    pub changed: Vec<String>,
    /// Of what would be removed.
    pub deleted: Vec<String>,
}

/// How many of a job's keys are where.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CountsReply {
    /// Keys that the listing has given.
    pub listed: u64,
    /// Of these, keys that are no images by their name.
    pub skipped: u64,
    /// Of these, images that the collection has already, unchanged.
    pub unchanged: u64,
    /// Images indexed by this job.
    pub done: u64,
    /// Images that could not be; see `/jobs/{id}/failures`.
    pub failed: u64,
    /// Records removed because their object has vanished.
    pub deleted: u64,
    /// Images planned but not yet dealt with.
    pub left: u64,
}

/// A worker of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WorkerReply {
    /// As it calls itself.
    pub name: String,
    /// The machine that it is on, where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Images that it holds at this moment.
    pub leased: u64,
    /// Images that it has dealt with since it, or the service, began.
    pub done: u64,
    /// Over the last half minute.
    pub images_per_second: f64,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub last_seen: String,
}

/// A dependency that a job waits for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WaitingReply {
    /// `s3`, `clip`, `qdrant`…
    pub dependency: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub since: String,
    /// RFC 3339. Absent if there is nothing to be tried: a job that waits for workers goes on when one comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub next_try: Option<String>,
    /// What goes on, in words.
    pub message: String,
}

/// Time per stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StagesReply {
    /// Reading from the bucket.
    pub fetch: StageReply,
    /// Decoding and resizing.
    pub prepare: StageReply,
    /// Calls of the embedding provider.
    pub embed: StageReply,
    /// Calls of the stores.
    pub upsert: StageReply,
}

/// Time in one stage.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StageReply {
    /// Share of its lanes' time spent at work, 0 to 1.
    pub busy: f64,
    /// Median of one piece of work, in milliseconds.
    pub p50_ms: f64,
    /// 95th percentile of one piece of work, in milliseconds.
    pub p95_ms: f64,
}

/// Jobs, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobsReply {
    /// The newest first.
    pub jobs: Vec<JobReply>,
    /// Give this as `before` for the next page; `null` at the end.
    #[schema(format = Uuid)]
    pub next: Option<String>,
}

/// A job's log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogsReply {
    /// Its id.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// One string with newlines.
    pub logs: String,
    /// Give this as `offset` for the lines that come after these.
    pub next: i64,
    /// Whether such lines are there already.
    pub more: bool,
    /// Whether lines before these are kept that this reply has no room for: `offset=0` begins with them.
    pub older: bool,
}

impl LogsReply {
    /// What was read after that offset.
    pub(in crate::api) fn new(job_id: String, page: LogPage, offset: Option<i64>) -> Self {
        let next = page.lines.last().map(|(number, _)| *number).or(offset).unwrap_or(0);
        let lines: Vec<String> = page.lines.into_iter().map(|(_, line)| line).collect();
        Self { job_id, logs: lines.join("\n"), next, more: page.more, older: page.older }
    }
}

/// A job that was stopped.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StopReply {
    /// Its id.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// `stopped`
    pub status: String,
}

impl JobReply {
    /// Whether nothing more will happen to it.
    pub fn is_final(&self) -> bool {
        JobState::from_name(&self.status).is_none_or(JobState::is_final)
    }
}

impl From<JobView> for JobReply {
    fn from(view: JobView) -> Self {
        let JobView { job, pace, eta_seconds, waiting_on, workers } = view;
        let counts = CountsReply::from(job.counts);
        // A dry run leaves nothing to be done: what it found is its plan.
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
            started_at: job.started_at.map(|moment| moment.to_string()),
            finished_at: job.finished_at.map(|moment| moment.to_string()),
            retry_of: job.spec.continues.or(job.spec.retry_of).map(|of| of.to_string()),
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
                        "the ledger cannot be read or written (see the log); the job goes on when it can".to_owned()
                    }
                    full if waiting.full => format!("{full} has no space left; the job goes on when there is some"),
                    dependency => format!("{dependency} does not answer; the job goes on when it does"),
                },
                dependency: waiting.dependency,
                since: Timestamp::from(waiting.since).to_string(),
                next_try: waiting.next_try.map(|moment| Timestamp::from(moment).to_string()),
            }),
            workers: workers.into_iter().map(WorkerReply::from).collect(),
            stages: stages.map(|stages| {
                let of =
                    |stage: StageReport| StageReply { busy: stage.busy, p50_ms: stage.p50_ms, p95_ms: stage.p95_ms };
                StagesReply {
                    fetch: of(stages.fetch),
                    prepare: of(stages.prepare),
                    embed: of(stages.embed),
                    upsert: of(stages.upsert),
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
