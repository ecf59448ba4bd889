//! [`BatchSize`]: how many images go to a service in one request, as its answers teach.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::Instant;

use super::EmbedError;
use super::http::NoAnswer;
use crate::domain::{DependencyError, Trouble};

/// The first requests: small, but no waste at a service that takes more.
const FIRST: usize = 4;
/// Full requests after which a size is judged, by the quickest of them: one alone may have been slow by chance.
const SAMPLES: u32 = 3;
/// Full requests more, before it grows again to what was too much; twice as many each time, up to the most.
const CAUTION: u32 = 32;
const MAX_CAUTION: u32 = 4096;

/// Begins small and doubles while full requests are answered, and an image takes no longer in them than in half as
/// many; halves where a request of several was too much. One for all calls of a provider.
#[derive(Debug)]
pub(super) struct BatchSize {
    most: usize,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: usize,
    /// Full requests of this size that were answered.
    full: u32,
    /// Of them, the least time an image.
    best: Duration,
    /// The same of the size before, from which it grew.
    smaller: Option<Duration>,
    /// Answers that are waited for beyond [`SAMPLES`].
    hold: u32,
    caution: u32,
}

impl BatchSize {
    /// Up to `most` images; whoever is silent for `timeout` is given up.
    pub(super) fn new(most: NonZeroUsize, timeout: Duration) -> Self {
        let (most, now) = (most.get(), FIRST.min(most.get()));
        let state = State { now, full: 0, best: Duration::MAX, smaller: None, hold: 0, caution: CAUTION };
        Self { most, timeout, state: Mutex::new(state) }
    }

    /// Images for the next request.
    pub(super) fn now(&self) -> usize {
        self.lock().now
    }

    /// A request of `sent` images is on its way.
    pub(super) fn begin(&self, sent: usize) -> Sent<'_> {
        Sent { size: self, images: sent, since: Instant::now(), open: true }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answered(&mut self, sent: usize, took: Duration, most: usize) {
        // What is not full, or was cut by an older size, says nothing of this one.
        if sent != self.now {
            return;
        }
        self.full += 1;
        self.best = self.best.min(took / u32::try_from(sent).unwrap_or(u32::MAX));
        if self.full < SAMPLES.saturating_add(self.hold) {
            return;
        }
        let best = self.best;
        if self.smaller.is_some_and(|smaller| best > smaller + smaller / 4) {
            self.shrink(sent);
        } else {
            if self.now < most {
                self.smaller = Some(best);
                self.now = most.min(self.now * 2);
            }
            (self.full, self.best, self.hold) = (0, Duration::MAX, 0);
        }
    }

    /// Half of `sent`, once, however many requests of that size went wrong together.
    fn shrink(&mut self, sent: usize) {
        if sent > 1 && sent / 2 < self.now {
            (self.now, self.full, self.best, self.smaller) = (sent / 2, 0, Duration::MAX, None);
            self.hold = self.caution;
            self.caution = MAX_CAUTION.min(self.caution * 2);
        }
    }
}

/// A request on its way.
pub(super) struct Sent<'a> {
    size: &'a BatchSize,
    images: usize,
    since: Instant,
    open: bool,
}

impl Sent<'_> {
    /// How it ended. A refusal of one image, and a service that is not there, say nothing of the size.
    pub(super) fn ended<T>(mut self, outcome: &Result<T, NoAnswer>) {
        self.open = false;
        match outcome {
            Ok(_) => self.size.lock().answered(self.images, self.since.elapsed(), self.size.most),
            Err(no) if was_too_much(no) => self.size.lock().shrink(self.images),
            Err(_) => {}
        }
    }
}

impl Drop for Sent<'_> {
    /// Whoever waits for a call gives it up by dropping it, when the service has been silent for too long. What is
    /// dropped sooner has other reasons: its neighbour failed, the job was stopped.
    fn drop(&mut self) {
        if self.open && self.since.elapsed() >= self.size.timeout / 2 {
            self.size.lock().shrink(self.images);
        }
    }
}

fn was_too_much(no: &NoAnswer) -> bool {
    match (no.status, &no.error) {
        (Some(status), _) if status.is_success() => false,
        (Some(StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS), _) => true,
        (Some(status), _) => status.is_server_error(),
        (None, EmbedError::Dependency(DependencyError { trouble, .. })) => *trouble == Trouble::TimedOut,
        (None, _) => false,
    }
}

#[cfg(test)]
#[path = "batch_size_tests.rs"]
mod tests;
