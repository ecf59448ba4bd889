//! A job from its start to its end: it is scheduled, its keys are listed and planned, its batches are executed by pools,
//! and its progress is recorded.

mod attempts;
mod dry_run;
mod job_end;
pub(crate) mod limit;
pub(crate) mod listing;
pub(crate) mod metadata;
mod model;
mod pause_run;
pub(crate) mod progress;
mod reconcile;
mod run_job;
pub(crate) mod schedule;
pub(crate) mod sync;
pub(crate) mod throughput;
mod traces;
