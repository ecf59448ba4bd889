//! Workers of other processes: they lease batches and report over HTTP (`wire`), and the service watches their leases.

pub(crate) mod bounds;
pub(crate) mod clock;
pub(crate) mod lease_watch;
mod leasing;
mod membership;
mod records;
pub(crate) mod remote_workers;
pub mod same_bucket;
pub(crate) mod token;
pub mod wire;
pub(crate) mod worker_job;
pub(crate) mod worker_name;
