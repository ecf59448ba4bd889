//! The chain from an object to its record, with scripted ports.

pub(crate) mod chain;
mod failing_image;
mod refresh;
mod same_bytes;
mod stores;
