//! The permits that limit the concurrent calls of a guard.

use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::guard::RetryPolicy;
use super::work_time::record_pause;
use super::{Guard, stop};
use crate::domain::{DependencyError, FailureKind};

/// When a caller that got no permit should try again.
pub(super) const RETRY_AFTER_NO_PERMIT: Duration = Duration::from_secs(1);
/// How often a caller that was stopped while it waits for a permit checks whether the dependency is down.
const DOWN_POLL_INTERVAL: Duration = Duration::from_millis(100);

impl Guard {
    /// Returns a permit if the guard limits concurrent calls. Waits for one until the deadline.
    pub(super) async fn permit<E: From<DependencyError>>(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Option<SemaphorePermit<'_>>, E> {
        let Some(permits) = &self.permits else { return Ok(None) };
        if let Ok(permit) = permits.try_acquire() {
            return Ok(Some(permit));
        }
        let failure = FailureKind::Busy { retry_after: RETRY_AFTER_NO_PERMIT };
        let full = || {
            E::from(self.failure(failure, "not called: the maximum number of concurrent calls is reached".to_owned()))
        };
        let got = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, permits.acquire()).await.map_err(|_| full())?,
            // The callers with permits can be waiting for the dependency themselves.
            None => record_pause(self.permit_unless_down(permits)).await?,
        };
        got.map(Some).map_err(|_| full())
    }

    /// Waits for a permit. A caller that was stopped still gets its turn, unless the callers before it wait for a
    /// dependency that is down.
    async fn permit_unless_down<'a, E: From<DependencyError>>(
        &self,
        permits: &'a Semaphore,
    ) -> Result<Result<SemaphorePermit<'a>, AcquireError>, E> {
        let acquire = permits.acquire();
        tokio::pin!(acquire);
        if let Some(permit) = stop::unless_stopped(&mut acquire).await {
            return Ok(permit);
        }
        loop {
            if self.is_waited_for() {
                return Err(self.given_up(None).into());
            }
            if let Ok(permit) = tokio::time::timeout(DOWN_POLL_INTERVAL, &mut acquire).await {
                return Ok(permit);
            }
        }
    }

    /// Whether the dependency is known to be down.
    fn is_waited_for(&self) -> bool {
        let is_listed = match &self.policy {
            RetryPolicy::Background(wait_list) => wait_list.is_waiting_for(&self.dependency),
            RetryPolicy::Interactive { .. } => false,
        };
        is_listed || self.breaker.as_ref().is_some_and(|breaker| breaker.open_for().is_some())
    }
}
