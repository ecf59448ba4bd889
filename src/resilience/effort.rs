//! Measures how long a piece of work really worked. A background call can wait ten minutes for a dependency; a simple
//! measurement would count this as work. So the [`Guard`](super::Guard) inside the work records the time that was not
//! work: its pauses, and the tries that the dependency did not answer.
//!
//! The recorded times belong to the task that called [`measured`]. A future that is dropped leaves nothing behind.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static CURRENT: Arc<WorkRecord>;
}

/// Runs a piece of work. Returns its output and how long it worked, without the time that it waited. While this work
/// waits and no other piece of work is running, `clock` stands still.
pub async fn measured<T>(clock: &WorkClock, work: impl Future<Output = T>) -> (T, Duration) {
    let record = Arc::new(WorkRecord::begin(clock.clone()));
    let begun = Instant::now();
    let outcome = CURRENT.scope(record.clone(), work).await;
    let worked = begun.elapsed().saturating_sub(record.times().wasted);
    (outcome, worked)
}

/// The elapsed time of a job, without the time in which all of its running work waited for a dependency. Clones share
/// it.
#[derive(Clone, Debug)]
pub struct WorkClock(Arc<Mutex<ClockState>>);

#[derive(Debug)]
struct ClockState {
    begun: Instant,
    working: usize,
    waiting: usize,
    /// Since when all work waits.
    stalled_since: Option<Instant>,
    /// Earlier time in which all work waited.
    stalled: Duration,
}

impl WorkClock {
    /// Starts the clock.
    pub fn start() -> Self {
        Self(Arc::new(Mutex::new(ClockState {
            begun: Instant::now(),
            working: 0,
            waiting: 0,
            stalled_since: None,
            stalled: Duration::ZERO,
        })))
    }

    /// Returns the time so far, without the time in which all work waited.
    pub fn elapsed(&self) -> Duration {
        let state = self.lock();
        state.begun.elapsed().saturating_sub(state.stalled())
    }

    fn stalled(&self) -> Duration {
        self.lock().stalled()
    }

    fn update(&self, change: impl FnOnce(&mut ClockState)) {
        let mut state = self.lock();
        change(&mut state);
        let all_wait = state.waiting > 0 && state.working == 0;
        match (state.stalled_since, all_wait) {
            (None, true) => state.stalled_since = Some(Instant::now()),
            (Some(since), false) => {
                state.stalled += since.elapsed();
                state.stalled_since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, ClockState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClockState {
    fn stalled(&self) -> Duration {
        self.stalled + self.stalled_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Times of one piece of work.
#[derive(Debug)]
struct WorkRecord {
    clock: WorkClock,
    times: Mutex<WaitTimes>,
}

#[derive(Debug, Default)]
struct WaitTimes {
    wasted: Duration,
    waiting: bool,
}

impl WorkRecord {
    fn begin(clock: WorkClock) -> Self {
        clock.update(|state| state.working += 1);
        Self { clock, times: Mutex::default() }
    }

    fn set_waiting(&self, waiting: bool) {
        if std::mem::replace(&mut self.times().waiting, waiting) == waiting {
            return;
        }
        self.clock.update(|state| {
            let (from, to) = if waiting {
                (&mut state.working, &mut state.waiting)
            } else {
                (&mut state.waiting, &mut state.working)
            };
            *from -= 1;
            *to += 1;
        });
    }

    fn times(&self) -> MutexGuard<'_, WaitTimes> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WorkRecord {
    fn drop(&mut self) {
        let waiting = self.times().waiting;
        self.clock.update(|state| *if waiting { &mut state.waiting } else { &mut state.working } -= 1);
    }
}

/// Times of one guarded call, recorded for the piece of work that made it. Records nothing if the work is not measured.
#[derive(Debug)]
pub(super) struct CallTimer {
    record: Option<Arc<WorkRecord>>,
}

/// One try of a call.
#[derive(Debug)]
pub(super) struct Try {
    begun: Instant,
    /// Wasted time of the work before this try.
    wasted: Duration,
    stalled: Duration,
}

impl CallTimer {
    pub(super) fn begin() -> Self {
        Self { record: CURRENT.try_with(Clone::clone).ok() }
    }

    /// Waits for `pause` and records the time as waiting.
    pub(super) async fn pause<T>(&self, pause: impl Future<Output = T>) -> T {
        let Some(record) = &self.record else { return pause.await };
        let begun = Instant::now();
        record.set_waiting(true);
        let outcome = pause.await;
        record.times().wasted += begun.elapsed();
        outcome
    }

    pub(super) fn begin_try(&self) -> Try {
        let (wasted, stalled) = self.record.as_ref().map_or_else(Default::default, |record| {
            let wasted = record.times().wasted;
            (wasted, record.clock.stalled())
        });
        Try { begun: Instant::now(), wasted, stalled }
    }

    /// Records that the dependency answered: the try was work.
    pub(super) fn answered(&self, one: &Try) {
        let Some(record) = &self.record else { return };
        // Until the answer, this try could have been one that the dependency does not answer.
        if record.times().waiting {
            record.set_waiting(false);
            record.clock.update(|state| state.stalled = state.stalled.min(one.stalled));
        }
    }

    /// Records that the dependency did not answer: the whole try was waiting, including the times recorded during it.
    pub(super) fn unanswered(&self, one: &Try) {
        let Some(record) = &self.record else { return };
        record.set_waiting(true);
        record.times().wasted = one.wasted + one.begun.elapsed();
    }
}

impl Drop for CallTimer {
    fn drop(&mut self) {
        if let Some(record) = &self.record {
            record.set_waiting(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DependencyError;
    use crate::resilience::{Breaker, BreakerSettings, Guard, Retryable, WaitBoard};

    const SECOND: Duration = Duration::from_secs(1);
    const OUTAGE: Duration = Duration::from_mins(10);

    #[derive(Clone, Debug, PartialEq, thiserror::Error)]
    enum TestError {
        #[error("down")]
        Down,
        #[error(transparent)]
        Dependency(#[from] DependencyError),
    }

    impl Retryable for TestError {
        fn is_retryable(&self) -> bool {
            true
        }
    }

    fn guard() -> Guard {
        let settings = BreakerSettings { threshold: 2, cool_down: 30 * SECOND };
        Guard::background("clip", WaitBoard::default()).through(Arc::new(Breaker::new(settings))).with_permits(1)
    }

    /// Works for a second or, before the time `back`, is silent for half a minute and fails.
    async fn call(guard: &Guard, back: Instant) -> Result<(), TestError> {
        let make = || async move {
            if Instant::now() < back {
                tokio::time::sleep(30 * SECOND).await;
                return Err(TestError::Down);
            }
            tokio::time::sleep(SECOND).await;
            Ok(())
        };
        guard.call(make).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_not_work_for_a_caller_nor_for_one_that_waits_for_a_permit() {
        let (clock, guard) = (WorkClock::start(), guard());
        let back = Instant::now() + OUTAGE;
        let (one, two) = (measured(&clock, call(&guard, back)), measured(&clock, call(&guard, back)));
        let ((_, one), (_, two)) = tokio::join!(one, two);
        assert_eq!((one, two), (SECOND, SECOND));
        // The first silence could not be distinguished from work while the other call waited for its permit.
        let elapsed = clock.elapsed();
        assert!((2 * SECOND..=35 * SECOND).contains(&elapsed), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_runs_while_any_work_is_running() {
        let (clock, guard) = (WorkClock::start(), guard());
        let back = Instant::now() + OUTAGE;
        let other = measured(&clock, tokio::time::sleep(2 * OUTAGE));
        let ((_, waited), ((), other)) = tokio::join!(measured(&clock, call(&guard, back)), other);
        assert_eq!((waited, other, clock.elapsed()), (SECOND, 2 * OUTAGE, 2 * OUTAGE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_dropped_leaves_nothing_behind() {
        let (clock, guard) = (WorkClock::start(), guard());
        let never = Instant::now() + 1_000 * OUTAGE;
        assert!(tokio::time::timeout(OUTAGE, measured(&clock, call(&guard, never))).await.is_err());
        let before = clock.elapsed();
        tokio::time::sleep(SECOND).await;
        assert_eq!(clock.elapsed().saturating_sub(before), SECOND, "no work waits any more");
    }
}
