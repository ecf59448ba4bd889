//! What waits for a worker: searches first, ingestion after them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::telemetry::metrics::{Gauge, families};

/// Which of two lines to stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Somebody waits for this one: a search.
    Now,
    /// Part of a batch: ingestion.
    Bulk,
}

/// Two lines and one bell. Its callers bound how much stands in them (`Workers`).
pub(super) struct Queue<T> {
    lines: Mutex<Lines<T>>,
    bell: Condvar,
    /// How many stand in each line.
    waiting: [Gauge; 2],
}

struct Lines<T> {
    now: VecDeque<T>,
    bulk: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let lines = Lines { now: VecDeque::new(), bulk: VecDeque::new(), closed: false };
        let queue = Self {
            lines: Mutex::new(lines),
            bell: Condvar::new(),
            waiting: ["search", "job"].map(|line| families::EMBED_QUEUE.labels([line])),
        };
        queue.show(&queue.lock());
        queue
    }

    pub(super) fn push(&self, item: T, urgency: Urgency) {
        let mut lines = self.lock();
        match urgency {
            Urgency::Now => lines.now.push_back(item),
            Urgency::Bulk => lines.bulk.push_back(item),
        }
        self.show(&lines);
        self.bell.notify_one();
    }

    /// Waits for the next item; `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<T> {
        let mut lines = self.lock();
        loop {
            if lines.closed {
                return None;
            }
            let Lines { now, bulk, .. } = &mut *lines;
            if let Some(item) = now.pop_front().or_else(|| bulk.pop_front()) {
                self.show(&lines);
                return Some(item);
            }
            lines = self.bell.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends every wait, and drops what still stands in line.
    pub(super) fn close(&self) {
        let mut lines = self.lock();
        lines.closed = true;
        lines.now.clear();
        lines.bulk.clear();
        self.show(&lines);
        self.bell.notify_all();
    }

    #[expect(clippy::cast_precision_loss, reason = "its callers bound how many stand in line")]
    fn show(&self, lines: &Lines<T>) {
        let [now, bulk] = &self.waiting;
        now.set(lines.now.len() as f64);
        bulk.set(lines.bulk.len() as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Lines<T>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_urgent_goes_first_and_the_rest_in_order() {
        let queue = Queue::new();
        for (item, urgency) in [(1, Urgency::Bulk), (2, Urgency::Bulk), (3, Urgency::Now), (4, Urgency::Now)] {
            queue.push(item, urgency);
        }
        let served: Vec<_> = std::iter::from_fn(|| queue.next()).take(4).collect();
        assert_eq!(served, [3, 4, 1, 2]);
        queue.push(5, Urgency::Bulk);
        queue.close();
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn closing_wakes_who_waits() {
        let queue = Queue::<u8>::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.next());
            queue.close();
            assert_eq!(waiting.join().unwrap(), None);
        });
    }
}
