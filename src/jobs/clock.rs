//! The time that leases are measured in: Unix milliseconds by the system's clock at the start, counted on from there by the
//! runtime's own, which no one sets back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
    at: i64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), at: millis(at) }
    }

    /// Unix milliseconds.
    pub(super) fn now(&self) -> i64 {
        self.at.saturating_add(millis(self.began.elapsed()))
    }

    /// Unix milliseconds of that much later.
    pub(super) fn after(&self, time: Duration) -> i64 {
        self.now().saturating_add(millis(time))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
