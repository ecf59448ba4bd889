//! Pools of workers, in the process and remote.

mod frozen;
mod poison;
mod pool;
mod processes;
pub(crate) mod service;
