//! Decides whether a failure is caused by the input or by the dependency: a dependency that fails for one input while
//! it answers for another is not down. Without this decision, a background caller would wait forever because of one bad
//! input.

use std::fmt::Display;
use std::future::Future;

use super::{Guard, Retryable};
use crate::domain::DependencyError;

/// Failures in a row, with growing pauses, after which a control call is made, which the dependency is known to answer.
const FAILURES_BEFORE_CONTROL: u32 = 3;
/// How many times the dependency must fail for the input and then answer the control call at once before the failure is
/// the input is taken as the cause.
const MAX_ROUNDS: u32 = 2;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckedCallError<E> {
    /// The call failed with the error that [`Guard::call`] returns.
    Call(E),
    /// The input is the cause: the dependency failed for it repeatedly, and answered control calls in between.
    BadInput {
        /// How many times it failed for the input.
        tries: u32,
        /// The last error.
        error: E,
    },
}

impl Guard {
    /// Calls as [`Guard::call_while`] does. If a background guard sees repeated failures, it makes the control call
    /// `control`, which the dependency answers unless it is down: if it answers, the input is the cause; if not, the
    /// guard waits for the dependency.
    ///
    /// # Errors
    /// Returns [`CheckedCallError`] if the call fails.
    pub async fn call_checking_input<T, A, E, Fut, ControlFuture>(
        &self,
        mut again: impl FnMut(&E) -> bool,
        mut make: impl FnMut() -> Fut,
        mut control: impl FnMut() -> ControlFuture,
    ) -> Result<T, CheckedCallError<E>>
    where
        E: Retryable + Display + From<DependencyError>,
        Fut: Future<Output = Result<T, E>>,
        ControlFuture: Future<Output = Result<A, E>>,
    {
        let (mut rounds, mut tries) = (0, 0);
        loop {
            let mut failures = 0;
            let keep_trying = |error: &E| {
                failures += u32::from(error.is_failure() && !error.is_caused_by_input());
                let try_again = again(error);
                if !try_again {
                    // The caller wants no further try, so no control call is made.
                    failures = 0;
                }
                try_again && (failures < FAILURES_BEFORE_CONTROL || !self.is_background())
            };
            let error = match self.call_while(keep_trying, &mut make).await {
                Ok(answer) => return Ok(answer),
                Err(error) if failures >= FAILURES_BEFORE_CONTROL && self.is_background() => error,
                Err(error) => return Err(CheckedCallError::Call(error)),
            };
            tries += failures;
            match self.call_while(|_| false, &mut control).await {
                Ok(_) => rounds += 1,
                Err(down) if down.is_retryable() => {
                    (rounds, tries) = (0, 0);
                    self.call(&mut control).await.map_err(CheckedCallError::Call)?;
                }
                Err(other) => return Err(CheckedCallError::Call(other)),
            }
            if rounds == MAX_ROUNDS {
                return Err(CheckedCallError::BadInput { tries, error });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::domain::FailureKind;
    use crate::resilience::{Breaker, BreakerSettings, WaitList};

    #[derive(Clone, Debug, PartialEq, thiserror::Error)]
    enum TestError {
        #[error("failed")]
        Failed,
        #[error("refused")]
        Refused,
        #[error(transparent)]
        Dependency(#[from] DependencyError),
    }

    impl Retryable for TestError {
        fn is_retryable(&self) -> bool {
            !matches!(self, Self::Refused)
        }
    }

    fn background_guard() -> Guard {
        let breaker = Breaker::new(BreakerSettings { threshold: 5, cool_down: Duration::from_mins(1) });
        Guard::background("clip", WaitList::default()).with_breaker(Arc::new(breaker))
    }

    /// Calls a dependency that is down for the time `up_after` and always fails for the input.
    async fn call_with_bad_input(guard: &Guard, up_after: Duration) -> (Result<(), CheckedCallError<TestError>>, u32) {
        let (begun, calls) = (Instant::now(), Cell::new(0));
        let make = || {
            calls.set(calls.get() + 1);
            std::future::ready(Err::<(), _>(TestError::Failed))
        };
        let up = || std::future::ready(if begun.elapsed() >= up_after { Ok(()) } else { Err(TestError::Failed) });
        (guard.call_checking_input(|_| true, make, up).await, calls.get())
    }

    #[tokio::test(start_paused = true)]
    async fn an_input_that_alone_fails_is_the_cause_after_its_last_attempt() {
        let begun = Instant::now();
        let (outcome, calls) = call_with_bad_input(&background_guard(), Duration::ZERO).await;
        assert_eq!((outcome, calls), (Err(CheckedCallError::BadInput { tries: 6, error: TestError::Failed }), 6));
        assert!(begun.elapsed() >= Duration::from_millis(1800), "growing pauses: {:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_dependency_is_down_no_input_is_the_cause() {
        let begun = Instant::now();
        let hour = Duration::from_hours(1);
        let (outcome, _) = call_with_bad_input(&background_guard(), hour).await;
        assert_eq!(outcome, Err(CheckedCallError::BadInput { tries: 6, error: TestError::Failed }));
        assert!(begun.elapsed() > hour, "returned after {:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_and_a_refusal_are_returned_to_the_caller() {
        let left = Cell::new(5);
        let make = || {
            left.set(left.get() - 1);
            std::future::ready(if left.get() == 0 { Ok(7) } else { Err(TestError::Failed) })
        };
        let control = || std::future::ready(Ok(()));
        assert_eq!(background_guard().call_checking_input(|_| true, make, control).await, Ok(7));
        let refuse = || std::future::ready(Err::<(), _>(TestError::Refused));
        assert_eq!(
            background_guard().call_checking_input(|_| true, refuse, control).await,
            Err(CheckedCallError::Call(TestError::Refused))
        );
        let failing = || std::future::ready(Err::<(), _>(TestError::Failed));
        let once = background_guard().call_checking_input(|_| false, failing, control).await;
        assert_eq!(once, Err(CheckedCallError::Call(TestError::Failed)), "the caller wants no further try");
    }

    #[tokio::test(start_paused = true)]
    async fn an_interactive_guard_makes_no_control_call() {
        let guard = Guard::interactive("clip", 8);
        let control_calls = Cell::new(0);
        let control = || {
            control_calls.set(control_calls.get() + 1);
            std::future::ready(Ok(()))
        };
        let failing = || std::future::ready(Err::<(), _>(TestError::Failed));
        let outcome = guard.call_checking_input(|_| true, failing, control).await;
        assert_eq!((outcome, control_calls.get()), (Err(CheckedCallError::Call(TestError::Failed)), 0));
        let unavailable =
            DependencyError { dependency: "c".into(), failure: FailureKind::Failed, detail: String::new() };
        assert!(TestError::from(unavailable).is_retryable());
    }
}
