//! The clock that leases are measured with: Unix milliseconds. It reads the system's clock once, at the start, and then
//! adds the elapsed time of the runtime's monotonic clock, which cannot be set back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: i64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: millis(unix) }
    }

    /// Returns the time in Unix milliseconds.
    pub(crate) fn now(&self) -> i64 {
        self.started_at.saturating_add(millis(self.started.elapsed()))
    }

    /// Returns the time in Unix milliseconds after `time` has passed.
    pub(crate) fn after(&self, time: Duration) -> i64 {
        self.now().saturating_add(millis(time))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
