//! The common way to call a dependency that can be down, in this order: permit → retry → breaker → timeout → call.
//!
//! There are two retry policies. Guards of both share a breaker and have their own permits. **Background**, for
//! ingestion: a dependency that is down must not fail an item, so the guard waits without a limit and reports this in a
//! list. **Interactive**, for searches: a user waits for the answer, so the guard makes a few tries within its time
//! limit, and an open breaker is an error at once.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::wait_list::WaitEntry;
use super::work_time::record_pause;
use super::{Breaker, Retryable, WaitList};
use crate::domain::{DependencyError, FailureKind};
use crate::telemetry::metrics::{Counter, counter, families};

/// When a caller should try again while the dependency is being probed.
const RETRY_AFTER_PROBE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) enum RetryPolicy {
    Background(WaitList),
    Interactive { retries: usize },
}

/// Guards the calls to one dependency. A caller gives up by dropping the future of the call. Clones share permits and
/// breaker.
#[derive(Clone, Debug)]
pub struct Guard {
    pub(super) dependency: Arc<str>,
    pub(super) policy: RetryPolicy,
    pub(super) permits: Option<Arc<Semaphore>>,
    pub(super) breaker: Option<Arc<Breaker>>,
    timeout: Option<Duration>,
    pub(super) retries: Counter,
}

impl Guard {
    /// Returns a guard that waits for `dependency` without a limit and reports this in `wait_list`.
    pub fn background(dependency: &str, wait_list: WaitList) -> Self {
        Self::new(dependency, RetryPolicy::Background(wait_list))
    }

    /// Returns a guard that retries at most `retries` times, within its time limit.
    pub fn interactive(dependency: &str, retries: usize) -> Self {
        Self::new(dependency, RetryPolicy::Interactive { retries })
    }

    fn new(dependency: &str, policy: RetryPolicy) -> Self {
        let retries = counter!(families::DEPENDENCY_RETRIES, "dependency" => dependency.to_owned());
        Self { dependency: dependency.into(), policy, permits: None, breaker: None, timeout: None, retries }
    }

    /// Calls through this breaker, which is shared by all callers of the dependency.
    #[must_use]
    pub fn with_breaker(self, breaker: Arc<Breaker>) -> Self {
        Self { breaker: Some(breaker), ..self }
    }

    /// Allows at most `permits` calls at the same time; a call that waits for its retry counts.
    #[must_use]
    pub fn with_permits(self, permits: usize) -> Self {
        Self { permits: Some(Arc::new(Semaphore::new(permits))), ..self }
    }

    /// Sets the time limit. It applies to each single try of a background guard, and to all tries together of an
    /// interactive guard, including the wait for a permit.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Returns a guard with the same permits and breaker and `times` the time limit, for a call that consists of
    /// several.
    #[must_use]
    pub fn with_timeout_times(&self, times: u32) -> Self {
        Self { timeout: self.timeout.map(|timeout| timeout.saturating_mul(times)), ..self.clone() }
    }

    /// Returns the name of the dependency.
    pub fn dependency(&self) -> &str {
        &self.dependency
    }

    /// Whether the guard waits without a limit.
    pub(crate) fn is_background(&self) -> bool {
        match self.policy {
            RetryPolicy::Background(_) => true,
            RetryPolicy::Interactive { .. } => false,
        }
    }

    /// Checks whether a call would be made now, which is not the case while the breaker is open. Makes no network call.
    ///
    /// # Errors
    /// Returns [`FailureKind::Unavailable`] with the time until a call can be tried.
    pub fn reachable(&self) -> Result<(), DependencyError> {
        match self.breaker.as_ref().and_then(|breaker| breaker.open_for()) {
            None => Ok(()),
            Some(left) => {
                let failure = FailureKind::Unavailable { retry_after: left.max(RETRY_AFTER_PROBE) };
                Err(self.failure(failure, "not called: its breaker is open".to_owned()))
            }
        }
    }

    /// Calls until the call succeeds, fails with an error that is not retryable, or the policy allows no further try.
    ///
    /// # Errors
    /// Returns the last error of the call itself, or a [`DependencyError`]: no permit, an open breaker, no answer in
    /// time.
    pub async fn call<T, E, Fut>(&self, make: impl FnMut() -> Fut) -> Result<T, E>
    where
        E: Retryable + Display + From<DependencyError>,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_while(|_| true, make).await
    }

    /// Like [`Guard::call`], but does not retry after a retryable error for which `again` returns `false`.
    ///
    /// # Errors
    /// Returns the last error of the call itself, or a [`DependencyError`]: no permit, an open breaker, no answer in
    /// time.
    pub async fn call_while<T, E, Fut>(
        &self,
        mut again: impl FnMut(&E) -> bool,
        mut make: impl FnMut() -> Fut,
    ) -> Result<T, E>
    where
        E: Retryable + Display + From<DependencyError>,
        Fut: Future<Output = Result<T, E>>,
    {
        let deadline = self.deadline();
        let _permit = self.permit(deadline).await?;
        let mut pauses = self.retry_pauses();
        let mut waits = Backoff { guard: self, deadline, entry: self.wait_entry(), last_error: None };
        loop {
            let entered = match &self.breaker {
                Some(breaker) => breaker.try_enter().map(Some),
                None => Ok(None),
            };
            let permit = match entered {
                Ok(permit) => permit,
                Err(open) => {
                    record_pause(waits.for_breaker(open)).await?;
                    continue;
                }
            };
            let outcome = self.with_time_limit(deadline, make()).await;
            if let Some(permit) = permit {
                // A content error and a refusal are answers, too.
                match &outcome {
                    Err(error) if error.is_failure() => permit.failed(),
                    Ok(_) | Err(_) => permit.succeeded(),
                }
            }
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_retryable() && again(&error) => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    record_pause(waits.after_failure(pause, error)).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns when an interactive guard gives up.
    fn deadline(&self) -> Option<Instant> {
        match self.policy {
            RetryPolicy::Background(_) => None,
            RetryPolicy::Interactive { .. } => self.timeout.map(|timeout| Instant::now() + timeout),
        }
    }

    /// Returns the error of a caller that was stopped while it waited. An outer guard would wait in turn, and gives up
    /// as well.
    pub(super) fn given_up(&self, last_error: Option<&str>) -> DependencyError {
        let failure = FailureKind::Unavailable { retry_after: RETRY_AFTER_PROBE };
        let detail = match last_error {
            Some(error) => format!("no longer waited for, because the work was stopped; last error: {error}"),
            None => "no longer waited for, because the work was stopped".to_owned(),
        };
        self.failure(failure, detail)
    }

    async fn with_time_limit<T, E: From<DependencyError>>(
        &self,
        deadline: Option<Instant>,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(timeout) = self.timeout else { return call.await };
        let end = deadline.unwrap_or_else(|| Instant::now() + timeout);
        match tokio::time::timeout_at(end, call).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(self.failure(FailureKind::TimedOut, format!("no answer within {} s", timeout.as_secs_f64())).into())
            }
        }
    }

    fn wait_entry(&self) -> Option<WaitEntry> {
        match &self.policy {
            RetryPolicy::Background(wait_list) => Some(wait_list.entry(&self.dependency)),
            RetryPolicy::Interactive { .. } => None,
        }
    }

    pub(super) fn failure(&self, failure: FailureKind, detail: String) -> DependencyError {
        DependencyError { dependency: self.dependency.to_string(), failure, detail }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
