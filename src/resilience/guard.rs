//! The one way to call a dependency that may be down, in this order: permit → retry → breaker → timeout → call.
//!
//! Two tempers share a breaker and have permits of their own. **Patient**, for ingestion: a dependency that is down
//! is no item's failure, so it waits, for ever, and says so on a board. **Prompt**, for searches: somebody waits for
//! the answer, so it tries a few times while there is time, and an open breaker is an answer.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::effort::Course;
use super::patience;
use super::waiting::Note;
use super::waits::Waits;
use super::{Breaker, Retryable, WaitBoard};
use crate::domain::{DependencyError, Trouble};
use crate::telemetry::metrics::{Counter, families};

/// The first pause of the patient; pauses double from call to call. The breaker takes over once it opens.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// The longest pause that does not come from the breaker or from the dependency itself, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The first pause of the prompt.
const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// When whoever got no permit may come back.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);
/// When to ask again about a dependency that is being tried this moment.
const RETRY_WHEN_TRIED: Duration = Duration::from_secs(1);
/// How often a caller that is to stop and waits for a permit checks whether the dependency is down.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
enum RetryPolicy {
    Background(WaitBoard),
    Interactive { retries: usize },
}

/// Guards the calls of one dependency. Dropping a call's future is how its caller gives up. Clones share all of it.
#[derive(Clone, Debug)]
pub struct Guard {
    pub(super) dependency: Arc<str>,
    policy: RetryPolicy,
    permits: Option<Arc<Semaphore>>,
    breaker: Option<Arc<Breaker>>,
    timeout: Option<Duration>,
    pub(super) retries: Counter,
}

impl Guard {
    /// Waits for `dependency` as long as it takes, and says so on `board`.
    pub fn background(dependency: &str, board: WaitBoard) -> Self {
        Self::new(dependency, RetryPolicy::Background(board))
    }

    /// Tries again up to `retries` times while there is time.
    pub fn interactive(dependency: &str, retries: usize) -> Self {
        Self::new(dependency, RetryPolicy::Interactive { retries })
    }

    fn new(dependency: &str, policy: RetryPolicy) -> Self {
        let retries = families::DEPENDENCY_RETRIES.labels([dependency.to_owned()]);
        Self { dependency: dependency.into(), policy, permits: None, breaker: None, timeout: None, retries }
    }

    /// Through the breaker that is shared by all who call the dependency.
    #[must_use]
    pub fn through(self, breaker: Arc<Breaker>) -> Self {
        Self { breaker: Some(breaker), ..self }
    }

    /// With at most `permits` calls under way at once; one that waits for its retry is under way.
    #[must_use]
    pub fn with_permits(self, permits: usize) -> Self {
        Self { permits: Some(Arc::new(Semaphore::new(permits))), ..self }
    }

    /// The patient give each single call this long; the prompt all tries together, the wait for a permit included.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The same permits and breaker, and `times` the time: for a call that is made of several.
    #[must_use]
    pub fn for_calls(&self, times: u32) -> Self {
        Self { timeout: self.timeout.map(|timeout| timeout.saturating_mul(times)), ..self.clone() }
    }

    /// Who is called.
    pub fn dependency(&self) -> &str {
        &self.dependency
    }

    /// Whether it waits as long as it takes.
    pub(super) fn is_background(&self) -> bool {
        match self.policy {
            RetryPolicy::Background(_) => true,
            RetryPolicy::Interactive { .. } => false,
        }
    }

    /// Whether a call would be made now: not while the breaker is open. Asks nobody.
    ///
    /// # Errors
    /// [`Trouble::Unavailable`] with what is left until a call may be tried.
    pub fn reachable(&self) -> Result<(), DependencyError> {
        match self.breaker.as_ref().and_then(|breaker| breaker.open_for()) {
            None => Ok(()),
            Some(left) => {
                let trouble = Trouble::Unavailable { retry_after: left.max(RETRY_WHEN_TRIED) };
                Err(self.trouble(trouble, "not called: its breaker is open".to_owned()))
            }
        }
    }

    /// Calls until it succeeds, fails for good, or its policy is at its end.
    ///
    /// # Errors
    /// The last error of the call itself, or a [`DependencyError`]: no permit, an open breaker, no answer in time.
    pub async fn call<T, E, Fut>(&self, make: impl FnMut() -> Fut) -> Result<T, E>
    where
        E: Retryable + Display + From<DependencyError>,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_while(|_| true, make).await
    }

    /// The same, and `again` may say of a retryable error that it is enough.
    ///
    /// # Errors
    /// The last error of the call itself, or a [`DependencyError`]: no permit, an open breaker, no answer in time.
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
        let course = Course::begin();
        let _permit = self.permit(deadline, &course).await?;
        let mut pauses = self.schedule();
        let mut waiting = Waits { guard: self, deadline, note: self.note(), last_words: None };
        loop {
            let entered = match &self.breaker {
                Some(breaker) => breaker.try_enter().map(Some),
                None => Ok(None),
            };
            let permit = match entered {
                Ok(permit) => permit,
                Err(open) => {
                    course.pause(waiting.through(open)).await?;
                    continue;
                }
            };
            let this = course.begin_try();
            let outcome = self.bounded(deadline, make()).await;
            match &outcome {
                Err(error) if error.is_retryable() => course.unanswered(&this),
                Ok(_) | Err(_) => course.answered(&this),
            }
            if let Some(permit) = permit {
                // A content error and a refusal are answers too.
                match &outcome {
                    Err(error) if error.is_failure() => permit.failed(),
                    Ok(_) | Err(_) => permit.succeeded(),
                }
            }
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_retryable() && again(&error) => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    course.pause(waiting.out(pause, error)).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// When the prompt give up.
    fn deadline(&self) -> Option<Instant> {
        match self.policy {
            RetryPolicy::Background(_) => None,
            RetryPolicy::Interactive { .. } => self.timeout.map(|timeout| Instant::now() + timeout),
        }
    }

    async fn permit<E: From<DependencyError>>(
        &self,
        deadline: Option<Instant>,
        course: &Course,
    ) -> Result<Option<SemaphorePermit<'_>>, E> {
        let Some(permits) = &self.permits else { return Ok(None) };
        if let Ok(permit) = permits.try_acquire() {
            return Ok(Some(permit));
        }
        let trouble = Trouble::Busy { retry_after: RETRY_WHEN_FULL };
        let full = || E::from(self.trouble(trouble, "not called: as many calls are under way as may be".to_owned()));
        let got = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, permits.acquire()).await.map_err(|_| full())?,
            // Those before it may be waiting themselves.
            None => course.pause(self.permit_unless_down(permits)).await?,
        };
        got.map(Some).map_err(|_| full())
    }

    /// Waits for a permit. A caller that is to stop still gets its turn, unless those before it wait for a dependency that
    /// is down.
    async fn permit_unless_down<'a, E: From<DependencyError>>(
        &self,
        permits: &'a Semaphore,
    ) -> Result<Result<SemaphorePermit<'a>, AcquireError>, E> {
        let acquire = permits.acquire();
        tokio::pin!(acquire);
        if let Some(permit) = patience::unless_stopped(&mut acquire).await {
            return Ok(permit);
        }
        loop {
            if self.is_waited_for() {
                return Err(self.given_up(None).into());
            }
            if let Ok(permit) = tokio::time::timeout(LOOK, &mut acquire).await {
                return Ok(permit);
            }
        }
    }

    /// Whether the dependency is known to be down.
    fn is_waited_for(&self) -> bool {
        let noted = match &self.policy {
            RetryPolicy::Background(board) => board.has(&self.dependency),
            RetryPolicy::Interactive { .. } => false,
        };
        noted || self.breaker.as_ref().is_some_and(|breaker| breaker.open_for().is_some())
    }

    /// The error of a caller that was to stop while it waited. An outer guard would wait in turn, and gives up as well.
    pub(super) fn given_up(&self, last_words: Option<&str>) -> DependencyError {
        let trouble = Trouble::Unavailable { retry_after: RETRY_WHEN_TRIED };
        let detail = match last_words {
            Some(said) => format!("not waited for any longer, because the work was stopped; it said last: {said}"),
            None => "not waited for any longer, because the work was stopped".to_owned(),
        };
        self.trouble(trouble, detail)
    }

    async fn bounded<T, E: From<DependencyError>>(
        &self,
        deadline: Option<Instant>,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(timeout) = self.timeout else { return call.await };
        let end = deadline.unwrap_or_else(|| Instant::now() + timeout);
        match tokio::time::timeout_at(end, call).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.trouble(Trouble::TimedOut, format!("silent for {} s", timeout.as_secs_f64())).into()),
        }
    }

    /// Pauses that grow, each between its step and twice that, so that those who failed together do not come back
    /// together.
    fn schedule(&self) -> impl Iterator<Item = Duration> {
        let growing = ExponentialBuilder::new().with_jitter().with_max_delay(LONGEST_PAUSE);
        match self.policy {
            RetryPolicy::Background(_) => growing.with_min_delay(FIRST_PAUSE).without_max_times(),
            RetryPolicy::Interactive { retries } => growing.with_min_delay(SHORT_PAUSE).with_max_times(retries),
        }
        .build()
    }

    fn note(&self) -> Option<Note> {
        match &self.policy {
            RetryPolicy::Background(board) => Some(board.note(&self.dependency)),
            RetryPolicy::Interactive { .. } => None,
        }
    }

    pub(super) fn trouble(&self, trouble: Trouble, detail: String) -> DependencyError {
        DependencyError { dependency: self.dependency.to_string(), trouble, detail }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
