//! [`BatchSize`]: adapts the number of images in one request to a service, from the duration and result of earlier
//! requests.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::time::Instant;

use super::EmbedError;
use super::service::RequestError;
use crate::domain::{DependencyError, Trouble};

/// Images in the first requests.
const INITIAL_SIZE: usize = 4;
/// Number of full requests after which a size is judged by the fastest of them, because one request may be slow by
/// chance.
const MIN_SAMPLES: u32 = 3;
/// Additional full requests before the size grows again after it was reduced. The number doubles each time, up to
/// [`MAX_EXTRA_SAMPLES`].
const INITIAL_EXTRA_SAMPLES: u32 = 32;
const MAX_EXTRA_SAMPLES: u32 = 4096;

/// Doubles the size while full requests succeed and the time per image does not increase by more than a quarter.
/// Halves it if a request with several images was too large for the service. All calls of a provider share one.
#[derive(Debug)]
pub(super) struct BatchSize {
    max: usize,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: usize,
    /// Successful full requests of this size.
    samples: u32,
    /// The shortest time per image in these requests.
    fastest: Duration,
    /// The shortest time per image with the previous, smaller size.
    fastest_smaller: Option<Duration>,
    /// Samples required in addition to [`MIN_SAMPLES`].
    extra_samples: u32,
    /// The next value of `extra_samples`.
    next_extra_samples: u32,
}

impl BatchSize {
    /// Creates a size of at most `max` images. `timeout` is the time after which callers give a request up.
    pub(super) fn new(max: NonZeroUsize, timeout: Duration) -> Self {
        let (max, now) = (max.get(), INITIAL_SIZE.min(max.get()));
        let state = State {
            now,
            samples: 0,
            fastest: Duration::MAX,
            fastest_smaller: None,
            extra_samples: 0,
            next_extra_samples: INITIAL_EXTRA_SAMPLES,
        };
        Self { max, timeout, state: Mutex::new(state) }
    }

    /// Returns the number of images for the next request.
    pub(super) fn now(&self) -> usize {
        self.lock().now
    }

    /// Records the start of a request with `sent` images.
    pub(super) fn begin(&self, sent: usize) -> Sent<'_> {
        Sent { size: self, images: sent, since: Instant::now(), pending: true }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn record_success(&mut self, sent: usize, duration: Duration, max: usize) {
        // Only a request of exactly the current size is a sample of it.
        if sent != self.now {
            return;
        }
        self.samples += 1;
        self.fastest = self.fastest.min(duration / u32::try_from(sent).unwrap_or(u32::MAX));
        if self.samples < MIN_SAMPLES.saturating_add(self.extra_samples) {
            return;
        }
        let fastest = self.fastest;
        if self.fastest_smaller.is_some_and(|fastest_smaller| fastest > fastest_smaller + fastest_smaller / 4) {
            self.shrink(sent);
        } else {
            if self.now < max {
                self.fastest_smaller = Some(fastest);
                self.now = max.min(self.now * 2);
            }
            (self.samples, self.fastest, self.extra_samples) = (0, Duration::MAX, 0);
        }
    }

    /// Sets the size to half of `sent`. Several failures of the same size halve it only once.
    fn shrink(&mut self, sent: usize) {
        if sent > 1 && sent / 2 < self.now {
            (self.now, self.samples, self.fastest, self.fastest_smaller) = (sent / 2, 0, Duration::MAX, None);
            self.extra_samples = self.next_extra_samples;
            self.next_extra_samples = MAX_EXTRA_SAMPLES.min(self.next_extra_samples * 2);
        }
    }
}

/// A request in progress.
pub(super) struct Sent<'a> {
    size: &'a BatchSize,
    images: usize,
    since: Instant,
    pending: bool,
}

impl Sent<'_> {
    /// Records the result. The refusal of an image, or a service that cannot be reached, does not change the size.
    pub(super) fn ended<T>(mut self, outcome: &Result<T, RequestError>) {
        self.pending = false;
        match outcome {
            Ok(_) => self.size.lock().record_success(self.images, self.since.elapsed(), self.size.max),
            Err(failure) if was_too_large(failure) => self.size.lock().shrink(self.images),
            Err(_) => {}
        }
    }
}

impl Drop for Sent<'_> {
    /// A caller gives up by dropping the request. If that happens late, the service did not answer in time, so the
    /// request was too large. An earlier drop has other reasons: another request of the call failed, or the job was
    /// stopped.
    fn drop(&mut self) {
        if self.pending && self.since.elapsed() >= self.size.timeout / 2 {
            self.size.lock().shrink(self.images);
        }
    }
}

fn was_too_large(failure: &RequestError) -> bool {
    match (failure.status, &failure.error) {
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
