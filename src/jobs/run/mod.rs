//! A job from its start to its end: it is scheduled, its keys are listed and planned, its batches are executed by pools,
//! and its progress is recorded.

mod attempts;
mod dry_run;
mod job_end;
pub(crate) mod keys;
pub(crate) mod limit;
mod listed;
pub(crate) mod metadata;
pub(crate) mod plan;
mod prefix;
pub(crate) mod progress;
mod reconcile;
mod run_job;
mod schedule;
pub(crate) mod sync;
