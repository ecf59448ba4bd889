//! Tracks whether a connection is idle.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    now: Mutex<Now>,
    close: CancellationToken,
}

#[derive(Debug)]
struct Now {
    /// Requests whose reply has not ended.
    requests: usize,
    /// Whether bytes wait until the client reads.
    blocked: bool,
    /// When the last of these changed.
    since: Instant,
}

impl Default for Activity {
    fn default() -> Self {
        let now = Now { requests: 0, blocked: false, since: Instant::now() };
        Self { now: Mutex::new(now), close: CancellationToken::new() }
    }
}

impl Activity {
    /// Returns for how long there has been no request and nothing to write, or `None` if the connection is not idle.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let now = self.now();
        (now.requests == 0 && !now.blocked).then(|| now.since.elapsed())
    }

    pub(super) fn begin(&self) {
        self.now().requests += 1;
    }

    pub(super) fn end(&self) {
        let mut now = self.now();
        now.requests = now.requests.saturating_sub(1);
        now.since = Instant::now();
    }

    pub(super) fn set_blocked(&self, blocked: bool) {
        let mut now = self.now();
        if now.blocked != blocked {
            now.blocked = blocked;
            now.since = Instant::now();
        }
    }

    /// Requests that the connection is closed.
    pub(super) fn close(&self) {
        self.close.cancel();
    }

    /// Waits until [`close`](Self::close) is called.
    pub(super) async fn closed(&self) {
        self.close.cancelled().await;
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
