//! The pauses of one guarded call: how long they are, and the waits after a failure and while the breaker is open.

use std::fmt::Display;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::Instant;

use super::guard::RetryPolicy;
use super::wait_list::WaitEntry;
use super::{CircuitOpen, Guard, Retryable, retry_after, stop};
use crate::domain::{DependencyError, FailureKind};

/// The first pause of a background guard; pauses double from call to call. Once the breaker is open, its pause applies.
pub(super) const BACKGROUND_FIRST_PAUSE: Duration = Duration::from_millis(300);
/// The longest pause that is not set by the breaker or by the dependency itself, before jitter.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// The first pause of an interactive guard.
const INTERACTIVE_FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The pauses of one call.
pub(super) struct Backoff<'a> {
    pub(super) guard: &'a Guard,
    pub(super) deadline: Option<Instant>,
    /// Where a background guard reports that it waits.
    pub(super) entry: Option<WaitEntry>,
    pub(super) last_error: Option<String>,
}

impl Backoff<'_> {
    /// Waits until the breaker allows a call. An interactive guard fails at once.
    pub(super) async fn for_breaker<E: From<DependencyError>>(&mut self, open: CircuitOpen) -> Result<(), E> {
        let Some(entry) = &mut self.entry else {
            let failure = FailureKind::Unavailable { retry_after: open.retry_after };
            return Err(self.guard.failure(failure, open.to_string()).into());
        };
        entry.wait(open.retry_after, self.last_error.clone().unwrap_or_else(|| open.to_string()));
        self.sleep(open.retry_after).await
    }

    /// Waits after a failed call: `pause`, or as long as the dependency asked for. Returns the error of the call if the
    /// pause would end after the deadline.
    pub(super) async fn after_failure<E: Retryable + Display + From<DependencyError>>(
        &mut self,
        pause: Duration,
        error: E,
    ) -> Result<(), E> {
        let pause = error.retry_after().map_or(pause, |asked| retry_after::limited_wait(asked, pause));
        if self.deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
            return Err(error);
        }
        if let Some(entry) = &mut self.entry {
            let message = error.to_string();
            if self.last_error.as_ref() != Some(&message) {
                tracing::warn!(dependency = %self.guard.dependency, error = message, "waiting for the dependency");
            }
            entry.wait(pause, message.clone());
            entry.set_disk_full(error.is_full());
            self.last_error = Some(message);
        }
        self.sleep(pause).await?;
        self.guard.retries.increment(1);
        Ok(())
    }

    /// # Errors
    /// Returns [`FailureKind::Unavailable`] if the caller was stopped.
    async fn sleep<E: From<DependencyError>>(&self, pause: Duration) -> Result<(), E> {
        match stop::unless_stopped(tokio::time::sleep(pause)).await {
            Some(()) => Ok(()),
            None => Err(self.guard.given_up(self.last_error.as_deref()).into()),
        }
    }
}

impl Guard {
    /// Returns growing pauses. Each is random between its base value and twice that, so that callers that failed
    /// together do not retry together.
    pub(super) fn retry_pauses(&self) -> impl Iterator<Item = Duration> {
        let growing = ExponentialBuilder::new().with_jitter().with_max_delay(MAX_PAUSE);
        match self.policy {
            RetryPolicy::Background(_) => growing.with_min_delay(BACKGROUND_FIRST_PAUSE).without_max_times(),
            RetryPolicy::Interactive { retries } => {
                growing.with_min_delay(INTERACTIVE_FIRST_PAUSE).with_max_times(retries)
            }
        }
        .build()
    }
}
