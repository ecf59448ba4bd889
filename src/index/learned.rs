//! What a server has shown about the size of requests that it takes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a limit is remembered. After that the server is tried again: its limit may have been raised.
const REMEMBERED: Duration = Duration::from_mins(10);

/// The largest size that a server has taken lately, if it has refused a larger one.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<Option<(usize, Instant)>>);

impl Learned {
    /// `usual`, or less if the server refused so much.
    pub(super) fn cap(&self, usual: usize) -> usize {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((limit, until)) if Instant::now() < until => usual.min(limit),
            Some(_) | None => usual,
        }
    }

    /// The server refused more than `limit`. Of two limits that were learned the smaller one counts.
    pub(super) fn learn(&self, limit: usize) {
        let limit = self.cap(limit).max(1);
        let until = Instant::now() + REMEMBERED;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((limit, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts_and_is_never_zero() {
        let learned = Learned::default();
        assert_eq!(learned.cap(256), 256);
        learned.learn(100);
        assert_eq!((learned.cap(256), learned.cap(50)), (100, 50));
        learned.learn(200);
        assert_eq!(learned.cap(256), 100);
        learned.learn(0);
        assert_eq!(learned.cap(256), 1);
    }

    #[test]
    fn a_limit_is_forgotten_after_a_while() {
        let learned = Learned(Mutex::new(Some((100, Instant::now()))));
        assert_eq!(learned.cap(256), 256);
    }
}
