//! Whose fault it is: a dependency that fails over one input while it answers for another is not down. Without this, a
//! patient caller would wait for ever over one poisonous input.

use std::fmt::Display;
use std::future::Future;

use super::{Guard, Retryable};
use crate::domain::DependencyError;

/// Failures in a row, with growing pauses, before something is asked that the dependency is known to answer.
const IN_A_ROW: u32 = 3;
/// So often it must fail over the input, and answer at once what it is known to answer, before the input is to blame.
const ROUNDS: u32 = 2;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributedError<E> {
    /// This, as [`Guard::call`] says it.
    Call(E),
    /// The input: the dependency failed over it so often, and answered for others in between.
    Input {
        /// How often.
        tries: u32,
        /// The last time.
        error: E,
    },
}

impl Guard {
    /// Calls as [`Guard::call_while`] does. Where the patient see it fail again and again, they `ask` something that the
    /// dependency answers when it is there: if it does, the input is to blame; if not, it is waited for.
    ///
    /// # Errors
    /// [`AttributedError`]
    pub async fn call_attributed<T, A, E, Fut, Asked>(
        &self,
        mut again: impl FnMut(&E) -> bool,
        mut make: impl FnMut() -> Fut,
        mut ask: impl FnMut() -> Asked,
    ) -> Result<T, AttributedError<E>>
    where
        E: Retryable + Display + From<DependencyError>,
        Fut: Future<Output = Result<T, E>>,
        Asked: Future<Output = Result<A, E>>,
    {
        let (mut rounds, mut tries) = (0, 0);
        loop {
            let mut failures = 0;
            let patient = |error: &E| {
                failures += u32::from(error.is_failure() && !error.is_of_input());
                let more = again(error);
                if !more {
                    // The caller has had enough: nobody is asked.
                    failures = 0;
                }
                more && (failures < IN_A_ROW || !self.is_background())
            };
            let error = match self.call_while(patient, &mut make).await {
                Ok(answer) => return Ok(answer),
                Err(error) if failures >= IN_A_ROW && self.is_background() => error,
                Err(error) => return Err(AttributedError::Call(error)),
            };
            tries += failures;
            match self.call_while(|_| false, &mut ask).await {
                Ok(_) => rounds += 1,
                Err(down) if down.is_retryable() => {
                    (rounds, tries) = (0, 0);
                    self.call(&mut ask).await.map_err(AttributedError::Call)?;
                }
                Err(other) => return Err(AttributedError::Call(other)),
            }
            if rounds == ROUNDS {
                return Err(AttributedError::Input { tries, error });
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
    use crate::domain::Trouble;
    use crate::resilience::{Breaker, BreakerSettings, WaitBoard};

    #[derive(Clone, Debug, PartialEq, thiserror::Error)]
    enum Wrong {
        #[error("failed")]
        Failed,
        #[error("refused")]
        Refused,
        #[error(transparent)]
        Dependency(#[from] DependencyError),
    }

    impl Retryable for Wrong {
        fn is_retryable(&self) -> bool {
            !matches!(self, Self::Refused)
        }
    }

    fn patient() -> Guard {
        let breaker = Breaker::new(BreakerSettings { threshold: 5, cool_down: Duration::from_mins(1) });
        Guard::background("clip", WaitBoard::default()).through(Arc::new(breaker))
    }

    /// Down until that moment, and failing over the input for ever.
    async fn blamed(guard: &Guard, up_after: Duration) -> (Result<(), AttributedError<Wrong>>, u32) {
        let (begun, calls) = (Instant::now(), Cell::new(0));
        let make = || {
            calls.set(calls.get() + 1);
            std::future::ready(Err::<(), _>(Wrong::Failed))
        };
        let up = || std::future::ready(if begun.elapsed() >= up_after { Ok(()) } else { Err(Wrong::Failed) });
        (guard.call_attributed(|_| true, make, up).await, calls.get())
    }

    #[tokio::test(start_paused = true)]
    async fn an_input_that_alone_fails_is_to_blame_after_its_last_attempt() {
        let begun = Instant::now();
        let (outcome, calls) = blamed(&patient(), Duration::ZERO).await;
        assert_eq!((outcome, calls), (Err(AttributedError::Input { tries: 6, error: Wrong::Failed }), 6));
        assert!(begun.elapsed() >= Duration::from_millis(1800), "growing pauses: {:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_dependency_is_down_nothing_is_to_blame() {
        let begun = Instant::now();
        let hour = Duration::from_hours(1);
        let (outcome, _) = blamed(&patient(), hour).await;
        assert_eq!(outcome, Err(AttributedError::Input { tries: 6, error: Wrong::Failed }));
        assert!(begun.elapsed() > hour, "blamed after {:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_an_answer_and_a_refusal_is_the_calls_own() {
        let left = Cell::new(5);
        let make = || {
            left.set(left.get() - 1);
            std::future::ready(if left.get() == 0 { Ok(7) } else { Err(Wrong::Failed) })
        };
        let ask = || std::future::ready(Ok(()));
        assert_eq!(patient().call_attributed(|_| true, make, ask).await, Ok(7));
        let refuse = || std::future::ready(Err::<(), _>(Wrong::Refused));
        assert_eq!(patient().call_attributed(|_| true, refuse, ask).await, Err(AttributedError::Call(Wrong::Refused)));
        let failing = || std::future::ready(Err::<(), _>(Wrong::Failed));
        let once = patient().call_attributed(|_| false, failing, ask).await;
        assert_eq!(once, Err(AttributedError::Call(Wrong::Failed)), "the caller has had enough of it");
    }

    #[tokio::test(start_paused = true)]
    async fn the_prompt_blame_nobody() {
        let guard = Guard::interactive("clip", 8);
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            std::future::ready(Ok(()))
        };
        let failing = || std::future::ready(Err::<(), _>(Wrong::Failed));
        let outcome = guard.call_attributed(|_| true, failing, ask).await;
        assert_eq!((outcome, asked.get()), (Err(AttributedError::Call(Wrong::Failed)), 0));
        let unavailable = DependencyError { dependency: "c".into(), trouble: Trouble::Failed, detail: String::new() };
        assert!(Wrong::from(unavailable).is_retryable());
    }
}
