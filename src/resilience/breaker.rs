//! A circuit breaker. **Closed** means that traffic flows; **open** that it does not.
//!
//! Closed → open after N failed calls in a row, for T; then exactly one call is let through and decides:
//! success closes, failure opens for another T. A permit that is dropped undecided (its task was aborted)
//! counts as neither, and frees the place of the probe.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::metrics::{Counter, Gauge, families};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failed calls in a row that open it; at least 1.
    pub threshold: u32,
    /// How long it stays open before one call may try.
    pub cool_down: Duration,
}

/// The breaker is open; the call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not called: it failed {failures} times in a row; next try in {} s", retry_after.as_secs_f64().ceil())]
pub struct CircuitOpen {
    /// When a call may be let through again.
    pub retry_after: Duration,
    /// Failures in a row that opened it.
    pub failures: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, failures: u32 },
    Probing { failures: u32 },
}

/// One breaker for one dependency, shared by all who call it.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
    outages: AtomicU64,
    shown: Gauge,
    opens: Counter,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        let state = Mutex::new(State::Closed { failures: 0 });
        Self { settings, state, outages: AtomicU64::new(0), shown: Gauge::noop(), opens: Counter::noop() }
    }

    /// The same, and `/metrics` tells how it stands, under the name of its dependency.
    #[must_use]
    pub fn of(self, dependency: &str) -> Self {
        let name = || [dependency.to_owned()];
        let (shown, opens) = (families::BREAKER_STATE.labels(name()), families::BREAKER_OPENS.labels(name()));
        shown.set(0.0);
        Self { shown, opens, ..self }
    }

    /// Asks to make one call. Tell the permit how it went.
    ///
    /// # Errors
    /// [`CircuitOpen`], at once, while the breaker is open or another call is the probe.
    pub fn try_enter(&self) -> Result<Permit<'_>, CircuitOpen> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Ok(Permit { breaker: self, probe: false, decided: false }),
            State::Open { until, failures } => {
                let now = Instant::now();
                if now < until {
                    return Err(CircuitOpen { retry_after: until - now, failures });
                }
                *state = State::Probing { failures };
                self.show(*state);
                Ok(Permit { breaker: self, probe: true, decided: false })
            }
            // The probe's answer may come any moment: look again soon.
            State::Probing { failures } => {
                Err(CircuitOpen { retry_after: self.settings.cool_down.min(Duration::from_secs(1)), failures })
            }
        }
    }

    /// How long until a call may be let through; `None` while closed.
    pub fn open_for(&self) -> Option<Duration> {
        match *self.lock() {
            State::Closed { .. } => None,
            State::Open { until, .. } => Some(until.saturating_duration_since(Instant::now())),
            State::Probing { .. } => Some(Duration::ZERO),
        }
    }

    /// How many times it has opened and closed again: after each, what answers may be another than before.
    pub fn outages(&self) -> u64 {
        self.outages.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, state: State) {
        self.shown.set(match state {
            State::Closed { .. } => 0.0,
            State::Probing { .. } => 1.0,
            State::Open { .. } => 2.0,
        });
    }

    fn settle(&self, success: bool, probe: bool) {
        let mut state = self.lock();
        let open = |failures| State::Open { until: Instant::now() + self.settings.cool_down, failures };
        *state = match (*state, success) {
            // A call that began before the breaker opened says nothing about now; only the probe does.
            (State::Open { .. } | State::Probing { .. }, _) if !probe => return,
            (State::Closed { failures }, false) if failures + 1 >= self.settings.threshold => {
                self.opens.increment(1);
                open(failures + 1)
            }
            (State::Closed { failures }, false) => State::Closed { failures: failures + 1 },
            (State::Open { failures, .. } | State::Probing { failures }, false) => open(failures.saturating_add(1)),
            (State::Closed { .. }, true) => State::Closed { failures: 0 },
            (State::Open { .. } | State::Probing { .. }, true) => {
                self.outages.fetch_add(1, Ordering::Release);
                State::Closed { failures: 0 }
            }
        };
        self.show(*state);
    }
}

/// WriteLease to make one call.
#[derive(Debug)]
#[must_use = "tell it how the call went"]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
    decided: bool,
}

impl Permit<'_> {
    /// The dependency answered; a content error is an answer too.
    pub fn succeeded(mut self) {
        self.decided = true;
        self.breaker.settle(true, self.probe);
    }

    /// The dependency failed.
    pub fn failed(mut self) {
        self.decided = true;
        self.breaker.settle(false, self.probe);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe && !self.decided {
            let mut state = self.breaker.lock();
            if let State::Probing { failures } = *state {
                *state = State::Open { until: Instant::now(), failures };
                self.breaker.show(*state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(30);

    fn opened() -> Breaker {
        let breaker = Breaker::new(BreakerSettings { threshold: 2, cool_down: T });
        breaker.try_enter().unwrap().failed();
        breaker.try_enter().unwrap().failed();
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_in_a_row_open_it() {
        let breaker = Breaker::new(BreakerSettings { threshold: 2, cool_down: T });
        for _ in 0..5 {
            breaker.try_enter().unwrap().failed();
            breaker.try_enter().unwrap().succeeded();
        }
        assert_eq!(breaker.open_for(), None);
        assert_eq!(opened().try_enter().unwrap_err(), CircuitOpen { retry_after: T, failures: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn exactly_one_probe_decides() {
        let breaker = opened();
        tokio::time::advance(T).await;
        let probe = breaker.try_enter().unwrap();
        assert!(breaker.try_enter().is_err(), "a second call beside the probe");
        probe.failed();
        assert!(breaker.try_enter().is_err(), "open again");
        tokio::time::advance(T).await;
        assert_eq!(breaker.outages(), 0);
        breaker.try_enter().unwrap().succeeded();
        assert!(breaker.try_enter().is_ok() && breaker.try_enter().is_ok());
        assert_eq!(breaker.outages(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_probe_frees_its_place() {
        let breaker = opened();
        tokio::time::advance(T).await;
        drop(breaker.try_enter().unwrap());
        breaker.try_enter().expect("the next call is the probe").succeeded();
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_does_not_move_an_open_breaker() {
        let breaker = Breaker::new(BreakerSettings { threshold: 1, cool_down: T });
        let (slow, slower) = (breaker.try_enter().unwrap(), breaker.try_enter().unwrap());
        breaker.try_enter().unwrap().failed();
        slow.succeeded();
        slower.failed();
        assert_eq!(breaker.try_enter().unwrap_err().retry_after, T);
    }
}
