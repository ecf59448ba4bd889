//! Keeps one failing or slow dependency from affecting others: the classification of retryable errors, the breaker, the
//! guard that makes calls through it (with the list that shows what is waited for, the end of waiting when a job is
//! stopped, and the check whether the input is the cause), and bounded concurrency in spawned tasks. This module does not
//! know about images; from the rest of the crate it imports only the type for a dependency's failure and the metrics.

mod backoff;
pub mod bad_input;
pub mod breaker;
pub mod concurrently;
pub mod guard;
mod permits;
pub mod retry_after;
pub mod stop;
pub mod wait_list;
pub mod work_time;

use std::time::Duration;

pub use bad_input::CheckedCallError;
pub use breaker::{Breaker, BreakerSettings, CircuitOpen, Permit};
pub use concurrently::{Concurrently, cores, spawn_owned};
pub use guard::Guard;
pub use stop::until_stopped;
pub use wait_list::{WaitEntry, WaitList, Waiting};
pub use work_time::measured;

/// Implemented by the error of every port: says whether the same call can succeed later. This is decided where the
/// error is created, by exhaustive match, and used only by the decorator that retries.
pub trait Retryable {
    /// Whether the same call can succeed later. This is not the case for content errors and refusals.
    fn is_retryable(&self) -> bool;

    /// How long the dependency asked the caller to wait.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// Whether the dependency answers but has no space left on its disk. Callers that wait report this.
    fn is_full(&self) -> bool {
        false
    }

    /// Whether the input itself can be the cause. The callers count such failures themselves.
    fn is_caused_by_input(&self) -> bool {
        false
    }

    /// Whether the breaker counts the error. A dependency that answers, even if only that it is busy, is not down.
    fn is_failure(&self) -> bool {
        self.is_retryable()
    }
}
