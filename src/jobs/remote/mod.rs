//! Workers of other processes: they lease batches and report over HTTP (`wire`), and the service watches their leases.

pub(crate) mod bounds;
pub(crate) mod clock;
pub(crate) mod lease_watch;
pub(crate) mod remote_workers;
pub(crate) mod token;
pub mod wire;
pub(crate) mod worker_name;
pub(crate) mod worker_timings;
pub(crate) mod workers;
