//! The state of a job, as the API returns it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::counts_reply::{CountsReply, PlanReply, StagesReply};
use crate::disk::DISK;
use crate::domain::{Executor, JobPlan, JobState, Timestamp};
use crate::jobs::JobView;
use crate::jobs::remote::remote_workers::{WORKERS, WorkerView};
use crate::jobs::run::schedule::OTHER_JOBS;

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// The state: `PENDING`, `RUNNING`, `PAUSED`, `SUCCEEDED`, `FAILED` or `STOPPED`.
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
    /// The generation of the collection that the job builds, if it is a rebuild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// The mirror that the job is a run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
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
    /// Since when the job is paused, in RFC 3339 format. Missing if it is not paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub paused_at: Option<String>,
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
    /// What the job waits for: a dependency, workers or other jobs.
    pub waiting_on: Option<WaitingReply>,
    /// The workers of the job, while it runs with the executor `workers` or `ray`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerReply>,
    /// Time of each stage; `null` before the job starts.
    pub stages: Option<StagesReply>,
}

/// What a job waits for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WaitingReply {
    /// The name of the dependency: `s3`, `clip`, `qdrant`…; `jobs` if other work of the service must end before the job starts.
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

/// A page of jobs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobsReply {
    /// The jobs, newest first.
    pub jobs: Vec<JobReply>,
    /// The value of `before` for the next page; `null` on the last page.
    #[schema(format = Uuid)]
    pub next: Option<String>,
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
        let JobView { job, rates, eta_seconds, waiting_on, workers } = view;
        let counts = CountsReply::from(job.counts);
        // A dry run has no images left: they are in its plan.
        let counts = if job.spec.dry_run { CountsReply { left: 0, ..counts } } else { counts };
        let plan = job.plan.or_else(|| job.spec.dry_run.then(JobPlan::default));
        let overall = rates.as_ref().and_then(|rates| rates.overall);
        let (rate, stages) = rates.map(|rates| (rates.images_per_second, rates.stages)).unzip();
        Self {
            job_id: job.id.to_string(),
            status: job.state.as_str().to_owned(),
            message: job.message,
            executor: job.spec.executor.as_str().to_owned(),
            collection: job.spec.visible_collection().to_string(),
            generation: job.spec.rebuild.as_ref().map(|rebuild| rebuild.number),
            s3_bucket: job.spec.bucket,
            s3_prefix: job.spec.prefix,
            mirror: job.spec.mirror.map(String::from),
            metadata_key: job.spec.metadata_key,
            submitted_at: job.submitted_at.to_string(),
            started_at: job.started_at.map(|time| time.to_string()),
            finished_at: job.finished_at.map(|time| time.to_string()),
            paused_at: job.paused_at.map(|time| time.to_string()),
            retry_of: job.spec.continues.or(job.spec.retry_of).map(|id| id.to_string()),
            plan: plan.map(PlanReply::from),
            counts,
            images_per_second: rate,
            images_per_second_overall: overall,
            eta_seconds,
            bottleneck: stages.as_ref().and_then(|stages| stages.bottleneck.clone()),
            waiting_on: waiting_on.map(|waiting| WaitingReply {
                message: match waiting.dependency.as_str() {
                    WORKERS | OTHER_JOBS | DISK => waiting.message,
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
            stages: stages.map(|stages| StagesReply {
                fetch: stages.fetch.into(),
                prepare: stages.prepare.into(),
                embed: stages.embed.into(),
                upsert: stages.upsert.into(),
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
