//! The chain from an object to its record, between ports that a test scripts.

pub(crate) mod chain;
mod stores;
mod stubborn;
