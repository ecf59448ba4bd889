//! Numbers of a job: its plan, its counts and its stages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{JobCounts, JobPlan};
use crate::jobs::run::progress::StageReport;

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
    /// Listed keys that do not have the name of an image, that are excluded, or whose images were removed permanently.
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

impl From<StageReport> for StageReply {
    fn from(stage: StageReport) -> Self {
        Self { busy: stage.busy, p50_ms: stage.p50_ms, p95_ms: stage.p95_ms }
    }
}
