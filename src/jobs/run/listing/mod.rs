//! The listing of a job: which keys it reads, and the batches that are planned from them.

pub(crate) mod keys;
mod outdated;
pub(crate) mod plan;
mod prefix;
mod scope;
