//! Pools of workers, in the process and elsewhere.

mod frozen;
mod poison;
mod pool;
mod processes;
pub(crate) mod service;
