//! The listing of a job: which keys it reads, and the batches that are planned from them.

pub(crate) mod keys;
mod lanes;
mod one_lane;
mod outdated;
mod page;
pub(crate) mod plan;
mod prefix;
mod rebuild;
mod scope;
