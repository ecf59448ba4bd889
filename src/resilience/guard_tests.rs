use std::cell::Cell;

use super::*;
use crate::resilience::backoff::BACKGROUND_FIRST_PAUSE;
use crate::resilience::{BreakerSettings, until_stopped};

const COOL_DOWN: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum TestError {
    #[error("down")]
    Down,
    #[error("busy for {} s", .0.as_secs())]
    Busy(Duration),
    #[error("no such thing")]
    Missing,
    #[error(transparent)]
    Dependency(#[from] DependencyError),
}

impl Retryable for TestError {
    fn is_retryable(&self) -> bool {
        !matches!(self, Self::Missing)
    }
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy(requested) => Some(*requested),
            _ => None,
        }
    }
    fn is_failure(&self) -> bool {
        matches!(self, Self::Down | Self::Dependency(_))
    }
}

fn breaker(threshold: u32) -> Arc<Breaker> {
    Arc::new(Breaker::new(BreakerSettings { threshold, cool_down: COOL_DOWN }))
}

fn background_guard(threshold: u32) -> (Guard, WaitList, Arc<Breaker>) {
    let (wait_list, breaker) = (WaitList::default(), breaker(threshold));
    (Guard::background("s3", wait_list.clone()).with_breaker(breaker.clone()), wait_list, breaker)
}

/// Fails with `error` for the first `times` calls, then answers with the number of the call.
fn failing(times: u32, error: TestError) -> impl FnMut() -> std::future::Ready<Result<u32, TestError>> {
    let mut calls = 0;
    move || {
        calls += 1;
        std::future::ready(if calls > times { Ok(calls) } else { Err(error.clone()) })
    }
}

fn failure<T>(outcome: Result<T, TestError>) -> FailureKind {
    match outcome {
        Err(TestError::Dependency(down)) => down.failure,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it answered"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_background_guard_waits_for_an_open_breaker_and_reports_it() {
    let (guard, wait_list, breaker) = background_guard(2);
    let begun = Instant::now();
    let calls = Cell::new(0);
    let answer = guard.call(|| {
        calls.set(calls.get() + 1);
        let (call, wait_list) = (calls.get(), wait_list.clone());
        async move {
            if call > 1 {
                assert_eq!(wait_list.snapshot().unwrap().message, "down");
            }
            if call < 4 { Err(TestError::Down) } else { Ok(call) }
        }
    });
    assert_eq!(answer.await, Ok(4));
    // Two calls open the breaker (less than 0.6 s apart); then one probe fails and one succeeds, a minute apart.
    assert_eq!(begun.elapsed().as_secs(), 120);
    assert_eq!((wait_list.snapshot(), breaker.open_for()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_not_retryable_is_returned_at_once_and_is_an_answer() {
    let (guard, _, breaker) = background_guard(1);
    breaker.try_enter().unwrap().failed();
    let begun = Instant::now();
    assert_eq!(guard.call(failing(1, TestError::Missing)).await, Err(TestError::Missing));
    assert_eq!((begun.elapsed().as_secs(), breaker.open_for()), (60, None));
}

#[tokio::test(start_paused = true)]
async fn a_busy_dependency_gets_the_time_it_asks_for_and_is_not_down() {
    let (guard, wait_list, breaker) = background_guard(2);
    let begun = Instant::now();
    assert_eq!(guard.call(failing(4, TestError::Busy(Duration::from_secs(7)))).await, Ok(5));
    assert_eq!((begun.elapsed().as_secs(), breaker.open_for(), wait_list.snapshot()), (28, None, None));
    let begun = Instant::now();
    assert_eq!(guard.call(failing(1, TestError::Busy(Duration::from_hours(9)))).await, Ok(2));
    assert_eq!(begun.elapsed(), Duration::from_mins(5), "but at most five minutes");
}

#[tokio::test(start_paused = true)]
async fn the_caller_can_stop_the_retries() {
    let (guard, ..) = background_guard(9);
    let mut left = 2;
    let try_again = |_: &TestError| {
        left -= 1;
        left > 0
    };
    assert_eq!(guard.call_while(try_again, failing(9, TestError::Down)).await, Err(TestError::Down));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_the_breaker_is_closed() {
    let (guard, ..) = background_guard(9);
    let begun = Instant::now();
    assert_eq!(guard.call(failing(8, TestError::Down)).await, Ok(9));
    // 0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 10 and 10 s, each up to twice that.
    let waited = begun.elapsed().as_secs_f64();
    assert!((38.9..77.8).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn callers_that_fail_together_do_not_retry_together() {
    let (guard, ..) = background_guard(u32::MAX);
    let wait = || async {
        let begun = Instant::now();
        guard.call(failing(1, TestError::Down)).await.unwrap();
        begun.elapsed()
    };
    let mut waited = futures::future::join_all((0..32).map(|_| wait())).await;
    waited.sort_unstable();
    assert!(
        waited[0] >= BACKGROUND_FIRST_PAUSE && waited[31] <= 2 * BACKGROUND_FIRST_PAUSE + Duration::from_millis(1),
        "{waited:?}"
    );
    assert!(waited[31] > waited[0] + BACKGROUND_FIRST_PAUSE / 3, "spread over the pause: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_clears_the_board_and_frees_the_breaker() {
    let (guard, wait_list, breaker) = background_guard(1);
    let forever = guard.call(failing(u32::MAX, TestError::Down));
    assert!(tokio::time::timeout(Duration::from_secs(90), forever).await.is_err());
    assert_eq!(wait_list.snapshot(), None);
    tokio::time::advance(COOL_DOWN).await;
    breaker.try_enter().expect("no probe was left behind").succeeded();
}

#[tokio::test(start_paused = true)]
async fn an_interactive_guard_fails_at_once_on_an_open_breaker() {
    let breaker = breaker(1);
    let guard = Guard::interactive("clip", 2).with_breaker(breaker.clone());
    breaker.try_enter().unwrap().failed();
    let begun = Instant::now();
    let open = guard.call(|| async { panic!("called through an open breaker") as Result<(), TestError> }).await;
    assert_eq!((failure(open), begun.elapsed()), (FailureKind::Unavailable { retry_after: COOL_DOWN }, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_interactive_guard_retries_a_few_times_and_then_returns_the_error() {
    let guard = Guard::interactive("clip", 2).with_breaker(breaker(9)).with_timeout(Duration::from_secs(5));
    let begun = Instant::now();
    assert_eq!(guard.call(failing(2, TestError::Down)).await, Ok(3));
    assert_eq!(guard.call(failing(3, TestError::Down)).await, Err(TestError::Down));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let requested = TestError::Busy(Duration::from_secs(5));
    assert_eq!(guard.call(failing(1, requested.clone())).await, Err(requested), "longer than the time limit");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_times_out_and_counts_as_a_failure() {
    let breaker = breaker(1);
    let five = Duration::from_secs(5);
    let guard = Guard::interactive("clip", 9).with_breaker(breaker.clone()).with_timeout(five);
    let begun = Instant::now();
    let silent = guard.call(std::future::pending::<Result<(), TestError>>).await;
    assert_eq!((failure(silent), begun.elapsed()), (FailureKind::TimedOut, five));
    assert!(breaker.open_for().is_some());

    let (guard, ..) = background_guard(9);
    let (guard, mut calls) = (guard.with_timeout(five), 0);
    let answer = guard.call(|| {
        calls += 1;
        let call = calls;
        async move {
            if call < 3 {
                std::future::pending::<()>().await;
            }
            Ok::<_, TestError>(call)
        }
    });
    assert_eq!(answer.await, Ok(3), "a background guard gives each try its own time limit");
}

#[tokio::test(start_paused = true)]
async fn permits_limit_the_calls_and_an_interactive_guard_does_not_wait_forever() {
    let guard = Guard::interactive("clip", 0).with_permits(1).with_timeout(Duration::from_secs(5));
    let slow = |guard: Guard| async move {
        let seven = || async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            Ok::<_, TestError>(())
        };
        guard.call(seven).await
    };
    let (first, second) = tokio::join!(slow(guard.with_timeout_times(2)), slow(guard));
    assert_eq!(first, Ok(()));
    assert_eq!(failure(second), FailureKind::Busy { retry_after: crate::resilience::permits::RETRY_AFTER_NO_PERMIT });
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_reported_without_a_call() {
    let breaker = breaker(1);
    let guard = Guard::interactive("clip", 0).with_breaker(breaker.clone());
    assert_eq!(guard.reachable(), Ok(()));
    assert_eq!(guard.call(failing(1, TestError::Down)).await, Err(TestError::Down));
    let left = |guard: &Guard| guard.reachable().map_err(|down| (down.dependency, down.failure));
    let unavailable = |retry_after| Err(("clip".to_owned(), FailureKind::Unavailable { retry_after }));
    tokio::time::advance(COOL_DOWN / 4).await;
    assert_eq!(left(&guard), unavailable(COOL_DOWN / 4 * 3));
    tokio::time::advance(COOL_DOWN).await;
    assert_eq!(left(&guard), unavailable(RETRY_AFTER_PROBE), "it is not known yet that the dependency is back");
    assert_eq!(guard.call(failing(0, TestError::Down)).await, Ok(1));
    assert_eq!(guard.reachable(), Ok(()));
    assert_eq!(Guard::interactive("local", 0).reachable(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_asks_for_an_immediate_retry_gets_a_growing_pause() {
    let (guard, _, _) = background_guard(5);
    let begun = Instant::now();
    assert_eq!(guard.call(failing(10, TestError::Busy(Duration::ZERO))).await, Ok(11));
    assert!((8..=11).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_caller_ends_its_waits_at_once_but_not_its_call() {
    let stop = tokio_util::sync::CancellationToken::new();
    let begun = Instant::now();
    // In the pause after a failure, no matter how long the dependency asked for.
    let (guard, wait_list, _) = background_guard(5);
    let waits = until_stopped(stop.clone(), guard.call(failing(9, TestError::Busy(Duration::from_mins(4)))));
    let stops = async {
        while wait_list.snapshot().is_none() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (waited, ()) = tokio::join!(waits, stops);
    let Err(TestError::Dependency(down)) = waited else { panic!("{waited:?}") };
    assert!(down.detail.contains("stopped") && down.detail.contains("busy for 240 s"), "{down:?}");
    // While it waits for an open breaker.
    let (guard, _, _) = background_guard(1);
    assert!(guard.call_while(|_| false, failing(1, TestError::Down)).await.is_err());
    let unmade = until_stopped(stop.clone(), guard.call(|| std::future::ready(Ok::<_, TestError>(1)))).await;
    assert!(matches!(unmade, Err(TestError::Dependency(_))), "{unmade:?}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // A call that is in flight is finished.
    let call = || async {
        tokio::time::sleep(COOL_DOWN).await;
        Ok::<_, TestError>(7)
    };
    assert_eq!(until_stopped(stop, background_guard(1).0.call(call)).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_caller_waits_for_a_permit_only_while_the_dependency_answers() {
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    let slow = || async {
        tokio::time::sleep(COOL_DOWN).await;
        Ok::<_, TestError>(())
    };
    let guard = background_guard(2).0.with_permits(1);
    let (one, two) = (guard.call(slow), until_stopped(stop.clone(), guard.call(slow)));
    assert_eq!(tokio::join!(one, two), (Ok(()), Ok(())), "the calls before it are working");
    let (wait_list, begun) = (WaitList::default(), Instant::now());
    let guard = Guard::background("s3", wait_list).with_permits(1);
    let down = guard.call(failing(u32::MAX, TestError::Down));
    let other = until_stopped(stop, guard.call(slow));
    tokio::select! {
        biased;
        _ = down => panic!("it waits without a limit"),
        gave_up = other => assert!(matches!(gave_up, Err(TestError::Dependency(_))), "{gave_up:?}"),
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
