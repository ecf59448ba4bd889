//! Calls that would rather wait than fail: for ingestion, where a dependency that is down is no item's failure.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Breaker, Retryable, WaitBoard};

/// The first pause after a failed call; it doubles from call to call. The breaker takes over once it opens.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that does not come from the breaker or from the dependency itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Makes calls through a breaker again and again until they succeed or a retry cannot help, and says on a
/// board what is waited for. Dropping the call's future is how a caller gives up. Clones share all of it.
#[derive(Clone, Debug)]
pub struct Patience {
    dependency: Arc<str>,
    breaker: Arc<Breaker>,
    board: WaitBoard,
}

impl Patience {
    /// Patience with `dependency`, through the breaker that is shared by all who call it.
    pub fn new(dependency: &str, breaker: Arc<Breaker>, board: WaitBoard) -> Self {
        Self { dependency: dependency.into(), breaker, board }
    }

    /// Calls until it succeeds or fails for good.
    ///
    /// # Errors
    /// The first error that a retry cannot help.
    pub async fn call<T, E, Fut>(&self, make: impl FnMut() -> Fut) -> Result<T, E>
    where
        E: Retryable + Display,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call_while(|_| true, make).await
    }

    /// Calls until it succeeds, fails for good, or `again` says of a retryable error that it is enough.
    ///
    /// # Errors
    /// The first error that a retry cannot help, or that `again` will not have retried.
    pub async fn call_while<T, E, Fut>(
        &self,
        mut again: impl FnMut(&E) -> bool,
        mut make: impl FnMut() -> Fut,
    ) -> Result<T, E>
    where
        E: Retryable + Display,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut note = self.board.note(&self.dependency);
        let mut pause = FIRST_PAUSE;
        let mut last_words = None;
        loop {
            let wait = match self.breaker.try_enter() {
                Err(open) => {
                    note.wait(open.retry_after, last_words.clone().unwrap_or_else(|| open.to_string()));
                    open.retry_after
                }
                Ok(permit) => match make().await {
                    Ok(answer) => {
                        permit.succeeded();
                        return Ok(answer);
                    }
                    // It answered, only not as we would like.
                    Err(error) if !error.is_retryable() => {
                        permit.succeeded();
                        return Err(error);
                    }
                    Err(error) => {
                        permit.failed();
                        if !again(&error) {
                            return Err(error);
                        }
                        let wait = error.retry_after().unwrap_or(pause);
                        pause = LONGEST_PAUSE.min(pause * 2);
                        let words = error.to_string();
                        note.wait(wait, words.clone());
                        last_words = Some(words);
                        wait
                    }
                },
            };
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;
    use crate::resilience::BreakerSettings;

    #[derive(Debug, PartialEq, thiserror::Error)]
    enum Trouble {
        #[error("down")]
        Down,
        #[error("busy")]
        Busy,
        #[error("no such thing")]
        Missing,
    }

    impl Retryable for Trouble {
        fn is_retryable(&self) -> bool {
            !matches!(self, Self::Missing)
        }
        fn retry_after(&self) -> Option<Duration> {
            matches!(self, Self::Busy).then_some(Duration::from_secs(7))
        }
    }

    fn patience(threshold: u32) -> (Patience, WaitBoard, Arc<Breaker>) {
        let board = WaitBoard::default();
        let cool_down = Duration::from_mins(1);
        let breaker = Arc::new(Breaker::new(BreakerSettings { threshold, cool_down }));
        (Patience::new("s3", breaker.clone(), board.clone()), board, breaker)
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_through_an_open_breaker_says_so_and_goes_on() {
        let (patience, board, breaker) = patience(2);
        let begun = Instant::now();
        let calls = Cell::new(0);
        let answer = patience.call(|| {
            calls.set(calls.get() + 1);
            let (call, board) = (calls.get(), board.clone());
            async move {
                if call > 1 {
                    assert_eq!(board.snapshot().unwrap().message, "down");
                }
                if call < 4 { Err(Trouble::Down) } else { Ok(call) }
            }
        });
        assert_eq!(answer.await, Ok(4));
        // Two calls open it (0.5 s apart); then one probe fails and one succeeds, a minute apart.
        assert_eq!(begun.elapsed().as_secs(), 120);
        assert_eq!((board.snapshot(), breaker.open_for()), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_retry_cannot_help_comes_back_at_once_and_closes_the_breaker() {
        let (patience, _, breaker) = patience(1);
        breaker.try_enter().unwrap().failed();
        let begun = Instant::now();
        assert_eq!(patience.call(|| async { Err::<(), _>(Trouble::Missing) }).await, Err(Trouble::Missing));
        assert_eq!((begun.elapsed().as_secs(), breaker.open_for()), (60, None));
    }

    #[tokio::test(start_paused = true)]
    async fn it_honours_what_the_other_side_asks_for_and_the_callers_bound() {
        let (patience, board, _) = patience(9);
        let begun = Instant::now();
        let mut left = 2;
        let enough = |_: &Trouble| {
            left -= 1;
            left > 0
        };
        assert_eq!(patience.call_while(enough, || async { Err::<(), _>(Trouble::Busy) }).await, Err(Trouble::Busy));
        assert_eq!((begun.elapsed().as_secs(), board.snapshot()), (7, None));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_while_the_breaker_is_closed() {
        let (patience, ..) = patience(9);
        let begun = Instant::now();
        let mut left = 8;
        let enough = |_: &Trouble| {
            left -= 1;
            left > 0
        };
        patience.call_while(enough, || async { Err::<(), _>(Trouble::Down) }).await.unwrap_err();
        // 0.5, 1, 2, 4, 8, 10 and 10 s.
        assert_eq!(begun.elapsed().as_millis(), 35_500);
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_wipes_the_board_and_frees_the_breaker() {
        let (patience, board, breaker) = patience(1);
        let forever = patience.call(|| async { Err::<(), _>(Trouble::Down) });
        assert!(tokio::time::timeout(Duration::from_secs(90), forever).await.is_err());
        assert_eq!(board.snapshot(), None);
        tokio::time::advance(Duration::from_mins(1)).await;
        breaker.try_enter().expect("no probe was left behind").succeeded();
    }
}
