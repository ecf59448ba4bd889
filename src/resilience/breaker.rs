//! A circuit breaker. **Closed** means that calls are made; **open** means that they are not.
//!
//! After N failed calls in a row the breaker opens for a time T. Then exactly one call, the probe, is made and decides:
//! success closes the breaker, failure opens it for another T. A permit that is dropped without a result (its task was
//! aborted) counts as neither, and another call can become the probe.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;
use crate::telemetry::metrics::{Counter, Gauge, counter, families, gauge};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failed calls in a row that open it; at least 1.
    pub threshold: u32,
    /// How long the breaker stays open before one call is allowed.
    pub cool_down: Duration,
}

/// The breaker is open; the call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not called: it failed {failures} times in a row; next try in {} s", retry_after.as_secs_f64().ceil())]
pub struct CircuitOpen {
    /// How long to wait until a call can be allowed again.
    pub retry_after: Duration,
    /// Failures in a row that opened the breaker.
    pub failures: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, failures: u32 },
    Probing { failures: u32 },
}

/// The breaker of one dependency, shared by all callers.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
    outages: AtomicU64,
    state_gauge: Gauge,
    opens_counter: Counter,
}

impl Breaker {
    /// Returns a closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        let state = Mutex::new(State::Closed { failures: 0 });
        Self { settings, state, outages: AtomicU64::new(0), state_gauge: Gauge::noop(), opens_counter: Counter::noop() }
    }

    /// Publishes the state of the breaker in `/metrics`, under the name of its dependency.
    #[must_use]
    pub fn with_metrics(self, dependency: &str) -> Self {
        let (state_gauge, opens_counter) = (
            gauge!(families::BREAKER_STATE, "dependency" => dependency.to_owned()),
            counter!(families::BREAKER_OPENS, "dependency" => dependency.to_owned()),
        );
        state_gauge.set(0.0);
        Self { state_gauge, opens_counter, ..self }
    }

    /// Requests a permit for one call. The caller must report the result of the call to the permit.
    ///
    /// # Errors
    /// Returns [`CircuitOpen`] at once while the breaker is open or another call is the probe.
    pub fn try_enter(&self) -> Result<Permit<'_>, CircuitOpen> {
        let mut state = lock(&self.state);
        match *state {
            State::Closed { .. } => Ok(Permit { breaker: self, probe: false, decided: false }),
            State::Open { until, failures } => {
                let now = Instant::now();
                if now < until {
                    return Err(CircuitOpen { retry_after: until - now, failures });
                }
                *state = State::Probing { failures };
                self.update_gauge(*state);
                Ok(Permit { breaker: self, probe: true, decided: false })
            }
            // The probe can be answered at any time, so the caller should try again soon.
            State::Probing { failures } => {
                Err(CircuitOpen { retry_after: self.settings.cool_down.min(Duration::from_secs(1)), failures })
            }
        }
    }

    /// Returns how long it takes until a call can be allowed; `None` while the breaker is closed.
    pub fn open_for(&self) -> Option<Duration> {
        match *lock(&self.state) {
            State::Closed { .. } => None,
            State::Open { until, .. } => Some(until.saturating_duration_since(Instant::now())),
            State::Probing { .. } => Some(Duration::ZERO),
        }
    }

    /// Returns how many times a call was answered after one or more had failed: after each outage, also a short one, the
    /// dependency may be another one than before.
    pub fn outages(&self) -> u64 {
        self.outages.load(Ordering::Acquire)
    }

    fn update_gauge(&self, state: State) {
        self.state_gauge.set(match state {
            State::Closed { .. } => 0.0,
            State::Probing { .. } => 1.0,
            State::Open { .. } => 2.0,
        });
    }

    fn record_result(&self, success: bool, probe: bool) {
        let mut state = lock(&self.state);
        let open_after = |failures| State::Open { until: Instant::now() + self.settings.cool_down, failures };
        *state = match (*state, success) {
            // A call that began before the breaker opened says nothing about the current state; only the probe does.
            (State::Open { .. } | State::Probing { .. }, _) if !probe => return,
            (State::Closed { failures }, false) if failures + 1 >= self.settings.threshold => {
                self.opens_counter.increment(1);
                open_after(failures + 1)
            }
            (State::Closed { failures }, false) => State::Closed { failures: failures + 1 },
            (State::Open { failures, .. } | State::Probing { failures }, false) => {
                open_after(failures.saturating_add(1))
            }
            (State::Closed { failures: 0 }, true) => return,
            (State::Closed { .. } | State::Open { .. } | State::Probing { .. }, true) => {
                self.outages.fetch_add(1, Ordering::Release);
                State::Closed { failures: 0 }
            }
        };
        self.update_gauge(*state);
    }
}

/// Permission to make one call.
#[derive(Debug)]
#[must_use = "the result of the call must be reported to it"]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
    decided: bool,
}

impl Permit<'_> {
    /// Reports that the dependency answered; a content error is an answer too.
    pub fn succeeded(mut self) {
        self.decided = true;
        self.breaker.record_result(true, self.probe);
    }

    /// Reports that the dependency failed.
    pub fn failed(mut self) {
        self.decided = true;
        self.breaker.record_result(false, self.probe);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe && !self.decided {
            let mut state = lock(&self.breaker.state);
            if let State::Probing { failures } = *state {
                *state = State::Open { until: Instant::now(), failures };
                self.breaker.update_gauge(*state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL_DOWN: Duration = Duration::from_secs(30);

    fn open_breaker() -> Breaker {
        let breaker = Breaker::new(BreakerSettings { threshold: 2, cool_down: COOL_DOWN });
        breaker.try_enter().unwrap().failed();
        breaker.try_enter().unwrap().failed();
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_in_a_row_open_the_breaker() {
        let breaker = Breaker::new(BreakerSettings { threshold: 2, cool_down: COOL_DOWN });
        for _ in 0..5 {
            breaker.try_enter().unwrap().failed();
            breaker.try_enter().unwrap().succeeded();
            breaker.try_enter().unwrap().succeeded();
        }
        assert_eq!((breaker.open_for(), breaker.outages()), (None, 5));
        assert_eq!(open_breaker().try_enter().unwrap_err(), CircuitOpen { retry_after: COOL_DOWN, failures: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn exactly_one_probe_decides_the_state() {
        let breaker = open_breaker();
        tokio::time::advance(COOL_DOWN).await;
        let probe = breaker.try_enter().unwrap();
        assert!(breaker.try_enter().is_err(), "a second call while the probe is running");
        probe.failed();
        assert!(breaker.try_enter().is_err(), "open again");
        tokio::time::advance(COOL_DOWN).await;
        assert_eq!(breaker.outages(), 0);
        breaker.try_enter().unwrap().succeeded();
        assert!(breaker.try_enter().is_ok() && breaker.try_enter().is_ok());
        assert_eq!(breaker.outages(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_aborted_probe_another_call_is_the_probe() {
        let breaker = open_breaker();
        tokio::time::advance(COOL_DOWN).await;
        drop(breaker.try_enter().unwrap());
        breaker.try_enter().expect("the next call is the probe").succeeded();
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_does_not_change_an_open_breaker() {
        let breaker = Breaker::new(BreakerSettings { threshold: 1, cool_down: COOL_DOWN });
        let (slow, slower) = (breaker.try_enter().unwrap(), breaker.try_enter().unwrap());
        breaker.try_enter().unwrap().failed();
        slow.succeeded();
        slower.failed();
        assert_eq!(breaker.try_enter().unwrap_err().retry_after, COOL_DOWN);
    }
}
