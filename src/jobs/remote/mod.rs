//! Workers of other processes: they lease batches and report over HTTP (`protocol`), and the service watches their leases.

pub(crate) mod clock;
pub(crate) mod lease_watch;
mod leasing;
mod membership;
pub mod protocol;
mod records;
pub(crate) mod remote_workers;
pub mod same_bucket;
pub(crate) mod worker_job;
