//! Measures how long a piece of work really worked: a background call can wait ten minutes for a dependency, and a
//! simple measurement would count this as work. The [`Guard`](super::Guard) in the work records its pauses.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static PAUSED: Cell<Duration>;
}

/// Runs a piece of work. Returns its output and how long it worked: without the pauses of its guards, which are those
/// for a permit, after a failure, and while a breaker is open.
pub async fn measured<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let measure = async {
        let begun = Instant::now();
        let output = work.await;
        (output, begun.elapsed().saturating_sub(PAUSED.with(Cell::get)))
    };
    PAUSED.scope(Cell::default(), measure).await
}

/// Waits for `pause` and records its duration for the piece of work that it belongs to, if that is measured.
pub(super) async fn record_pause<T>(pause: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let output = pause.await;
    // Fails if the work is not measured.
    let _ = PAUSED.try_with(|paused| paused.set(paused.get() + begun.elapsed()));
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DependencyError, FailureKind};
    use crate::resilience::{Guard, Retryable, WaitList};

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct TestError(#[from] DependencyError);

    impl Retryable for TestError {
        fn is_retryable(&self) -> bool {
            true
        }
    }

    /// Is silent for a second and fails until ten minutes have passed, then works for a second.
    async fn call(guard: &Guard) {
        let back = Instant::now() + Duration::from_mins(10);
        let attempt = || async move {
            tokio::time::sleep(SECOND).await;
            if Instant::now() > back {
                return Ok(());
            }
            let (dependency, detail) = ("clip".to_owned(), String::new());
            Err(TestError(DependencyError { dependency, failure: FailureKind::Failed, detail }))
        };
        guard.call(attempt).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_attempts_of_a_guard_are_work_and_its_pauses_are_not() {
        let guard = Guard::background("clip", WaitList::default()).with_permits(1);
        let begun = Instant::now();
        let ((), one) = measured(call(&guard)).await;
        let attempts = u32::try_from(one.as_secs()).unwrap();
        assert!(one == attempts * SECOND && (30..=120).contains(&attempts), "{one:?}");
        assert!(begun.elapsed() > 600 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_permit_is_not_work() {
        let guard = Guard::background("clip", WaitList::default()).with_permits(1);
        let work = || {
            guard.call(|| async {
                tokio::time::sleep(SECOND).await;
                Ok::<_, TestError>(())
            })
        };
        let begun = Instant::now();
        let ((_, one), (_, two)) = tokio::join!(measured(work()), measured(work()));
        assert_eq!((one, two, begun.elapsed()), (SECOND, SECOND, 2 * SECOND));
    }
}
