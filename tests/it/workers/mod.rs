//! Pools of workers, in the process and remote.

mod crashing_image;
mod frozen;
mod pool;
mod processes;
pub(crate) mod service;
