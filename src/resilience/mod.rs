//! What keeps one failing or slow thing from costing another: whether a retry may help, the breaker, patience
//! (and the board that says what it waits on), and bounded concurrency in spawned tasks. Knows nothing of images, and imports nothing of ours.

pub mod breaker;
pub mod concurrently;
pub mod patience;
pub mod waiting;

use std::time::Duration;

pub use breaker::{Breaker, BreakerSettings, CircuitOpen, Permit};
pub use concurrently::Concurrently;
pub use patience::Patience;
pub use waiting::{Note, WaitBoard, Waiting};

/// Every port's error says whether the same call may succeed later. Decided where the error is made, by
/// exhaustive match, and asked by nobody but the one decorator that retries.
pub trait Retryable {
    /// Whether the same call may succeed later. Content errors and refusals are not.
    fn is_retryable(&self) -> bool;

    /// How long the other side asked us to wait.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}
