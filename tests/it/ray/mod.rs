//! Jobs on a Ray cluster.

mod client;
mod cluster;
pub(crate) mod jobs;
mod trouble;
