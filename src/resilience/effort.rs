//! How long a piece of work was really at work. A patient call may wait for ten minutes in its
//! middle; who measures around it would take that for work. So the [`Guard`](super::Guard) inside notes what was no work:
//! its pauses, and the tries that the dependency left unanswered.
//!
//! What is noted belongs to the task that called [`measured`]. A future that is dropped leaves nothing behind.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static SHEET: Arc<Sheet>;
}

/// Does a piece of work, and says how long it was at work, without what it waited. While it waits and nobody else is at
/// work, `clock` stands still.
pub async fn measured<T>(clock: &WorkClock, work: impl Future<Output = T>) -> (T, Duration) {
    let sheet = Arc::new(Sheet::begin(clock.clone()));
    let begun = Instant::now();
    let outcome = SHEET.scope(sheet.clone(), work).await;
    let worked = begun.elapsed().saturating_sub(sheet.noted().wasted);
    (outcome, worked)
}

/// The time of a job without the time in which everybody who could be at work waited for a dependency. Clones share it.
#[derive(Clone, Debug)]
pub struct WorkClock(Arc<Mutex<Shifts>>);

#[derive(Debug)]
struct Shifts {
    begun: Instant,
    working: usize,
    waiting: usize,
    /// Since when all wait.
    stalled_since: Option<Instant>,
    /// Before that.
    stalled: Duration,
}

impl WorkClock {
    /// Begins to count.
    pub fn start() -> Self {
        Self(Arc::new(Mutex::new(Shifts {
            begun: Instant::now(),
            working: 0,
            waiting: 0,
            stalled_since: None,
            stalled: Duration::ZERO,
        })))
    }

    /// The time so far, without what was waited.
    pub fn elapsed(&self) -> Duration {
        let shifts = self.lock();
        shifts.begun.elapsed().saturating_sub(shifts.stalled())
    }

    fn stalled(&self) -> Duration {
        self.lock().stalled()
    }

    fn shift(&self, change: impl FnOnce(&mut Shifts)) {
        let mut shifts = self.lock();
        change(&mut shifts);
        let all_wait = shifts.waiting > 0 && shifts.working == 0;
        match (shifts.stalled_since, all_wait) {
            (None, true) => shifts.stalled_since = Some(Instant::now()),
            (Some(since), false) => {
                shifts.stalled += since.elapsed();
                shifts.stalled_since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shifts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shifts {
    fn stalled(&self) -> Duration {
        self.stalled + self.stalled_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// What is noted of one piece of work.
#[derive(Debug)]
struct Sheet {
    clock: WorkClock,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    wasted: Duration,
    waits: bool,
}

impl Sheet {
    fn begin(clock: WorkClock) -> Self {
        clock.shift(|shifts| shifts.working += 1);
        Self { clock, noted: Mutex::default() }
    }

    fn waits(&self, waits: bool) {
        if std::mem::replace(&mut self.noted().waits, waits) == waits {
            return;
        }
        self.clock.shift(|shifts| {
            let (from, to) = if waits {
                (&mut shifts.working, &mut shifts.waiting)
            } else {
                (&mut shifts.waiting, &mut shifts.working)
            };
            *from -= 1;
            *to += 1;
        });
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let waits = self.noted().waits;
        self.clock.shift(|shifts| *if waits { &mut shifts.waiting } else { &mut shifts.working } -= 1);
    }
}

/// One guarded call on the sheet of whoever made it; where nobody measures, nothing is noted.
#[derive(Debug)]
pub(super) struct Course {
    sheet: Option<Arc<Sheet>>,
}

/// One try of a call.
#[derive(Debug)]
pub(super) struct Try {
    begun: Instant,
    /// What was noted before it.
    wasted: Duration,
    stalled: Duration,
}

impl Course {
    pub(super) fn begin() -> Self {
        Self { sheet: SHEET.try_with(Clone::clone).ok() }
    }

    /// Waits, which is no work.
    pub(super) async fn pause<T>(&self, pause: impl Future<Output = T>) -> T {
        let Some(sheet) = &self.sheet else { return pause.await };
        let begun = Instant::now();
        sheet.waits(true);
        let outcome = pause.await;
        sheet.noted().wasted += begun.elapsed();
        outcome
    }

    pub(super) fn begin_try(&self) -> Try {
        let (wasted, stalled) = self.sheet.as_ref().map_or_else(Default::default, |sheet| {
            let wasted = sheet.noted().wasted;
            (wasted, sheet.clock.stalled())
        });
        Try { begun: Instant::now(), wasted, stalled }
    }

    /// The dependency was at work.
    pub(super) fn answered(&self, one: &Try) {
        let Some(sheet) = &self.sheet else { return };
        // Until now it could not be told from one more of those that nobody answers.
        if sheet.noted().waits {
            sheet.waits(false);
            sheet.clock.shift(|shifts| shifts.stalled = shifts.stalled.min(one.stalled));
        }
    }

    /// Nobody was at work: all of the try was waiting, with whatever was noted in it.
    pub(super) fn unanswered(&self, one: &Try) {
        let Some(sheet) = &self.sheet else { return };
        sheet.waits(true);
        sheet.noted().wasted = one.wasted + one.begun.elapsed();
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        if let Some(sheet) = &self.sheet {
            sheet.waits(false);
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
    enum Wrong {
        #[error("down")]
        Down,
        #[error(transparent)]
        Dependency(#[from] DependencyError),
    }

    impl Retryable for Wrong {
        fn is_retryable(&self) -> bool {
            true
        }
    }

    fn guard() -> Guard {
        let settings = BreakerSettings { threshold: 2, cool_down: 30 * SECOND };
        Guard::background("clip", WaitBoard::default()).through(Arc::new(Breaker::new(settings))).with_permits(1)
    }

    /// A second of work, or, until that moment, silence for half a minute.
    async fn call(guard: &Guard, back: Instant) -> Result<(), Wrong> {
        let make = || async move {
            if Instant::now() < back {
                tokio::time::sleep(30 * SECOND).await;
                return Err(Wrong::Down);
            }
            tokio::time::sleep(SECOND).await;
            Ok(())
        };
        guard.call(make).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_no_work_neither_of_who_waits_nor_of_who_waits_for_a_permit() {
        let (clock, guard) = (WorkClock::start(), guard());
        let back = Instant::now() + OUTAGE;
        let (one, two) = (measured(&clock, call(&guard, back)), measured(&clock, call(&guard, back)));
        let ((_, one), (_, two)) = tokio::join!(one, two);
        assert_eq!((one, two), (SECOND, SECOND));
        // The first silence could not be told from work while the other waited for its permit.
        let elapsed = clock.elapsed();
        assert!((2 * SECOND..=35 * SECOND).contains(&elapsed), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_goes_on_while_anybody_is_at_work() {
        let (clock, guard) = (WorkClock::start(), guard());
        let back = Instant::now() + OUTAGE;
        let other = measured(&clock, tokio::time::sleep(2 * OUTAGE));
        let ((_, waited), ((), other)) = tokio::join!(measured(&clock, call(&guard, back)), other);
        assert_eq!((waited, other, clock.elapsed()), (SECOND, 2 * OUTAGE, 2 * OUTAGE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_leaves_nothing_behind() {
        let (clock, guard) = (WorkClock::start(), guard());
        let never = Instant::now() + 1_000 * OUTAGE;
        assert!(tokio::time::timeout(OUTAGE, measured(&clock, call(&guard, never))).await.is_err());
        let before = clock.elapsed();
        tokio::time::sleep(SECOND).await;
        assert_eq!(clock.elapsed().saturating_sub(before), SECOND, "nobody waits any more");
    }
}
