//! What keeps one failing or slow thing from costing another: whether a retry may help, the breaker, the guard that
//! makes calls through it (and the board that says what is waited on, when waiting ends, and the judgement whether the input is to blame), and bounded concurrency in spawned tasks.
//! Knows nothing of images, and imports nothing of ours but the noun for a dependency's failure.

pub mod attribution;
pub mod breaker;
pub mod concurrently;
pub mod effort;
pub mod guard;
pub mod patience;
pub mod retry_after;
pub mod waiting;
mod waits;

use std::time::Duration;

pub use attribution::AttributedError;
pub use breaker::{Breaker, BreakerSettings, CircuitOpen, Permit};
pub use concurrently::{Concurrently, on_its_own};
pub use effort::{WorkClock, measured};
pub use guard::Guard;
pub use patience::until_stopped;
pub use retry_after::parse_retry_after;
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

    /// Whether what is missing is space on its disk: it answers, and whoever waits is told so.
    fn is_full(&self) -> bool {
        false
    }

    /// Whether it may be the input's own trouble. Whoever calls counts such failures by themselves.
    fn is_of_input(&self) -> bool {
        false
    }

    /// Whether the breaker counts it. A dependency that answers, even if only to say that it is busy, is not down.
    fn is_failure(&self) -> bool {
        self.is_retryable()
    }
}
