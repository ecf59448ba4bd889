//! Jobs on a Ray cluster.

mod client;
mod cluster;
mod failure;
pub(crate) mod jobs;
