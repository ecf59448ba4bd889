//! Placing the workers of a job on a cluster. The cluster only places them: they lease batches over HTTP as any other
//! remote worker does (`jobs::remote`).

pub mod cluster;
pub(crate) mod decide;
pub(crate) mod end_placement;
pub(crate) mod error;
pub(crate) mod placed;
pub(crate) mod ray;
#[cfg(test)]
mod script;
pub(crate) mod view;

pub use ray::Placing;
