//! Tracks whether a connection is idle.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::lock::lock;

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    close: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// Requests whose reply has not ended.
    requests: usize,
    /// Whether bytes wait until the client reads.
    blocked: bool,
    /// When the last of these changed.
    since: Instant,
}

impl Default for Activity {
    fn default() -> Self {
        let state = State { requests: 0, blocked: false, since: Instant::now() };
        Self { state: Mutex::new(state), close: CancellationToken::new() }
    }
}

impl Activity {
    /// Returns for how long there has been no request and nothing to write, or `None` if the connection is not idle.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let state = lock(&self.state);
        (state.requests == 0 && !state.blocked).then(|| state.since.elapsed())
    }

    pub(super) fn begin_request(&self) {
        lock(&self.state).requests += 1;
    }

    pub(super) fn end_request(&self) {
        let mut state = lock(&self.state);
        state.requests = state.requests.saturating_sub(1);
        state.since = Instant::now();
    }

    pub(super) fn set_blocked(&self, blocked: bool) {
        let mut state = lock(&self.state);
        if state.blocked != blocked {
            state.blocked = blocked;
            state.since = Instant::now();
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
}
