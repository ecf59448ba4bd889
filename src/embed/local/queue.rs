//! Queue of work for the workers: searches before ingestion.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::lock::lock;
use crate::telemetry::metrics::{Gauge, families, gauge};

/// Priority of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A search, for which a client waits.
    Interactive,
    /// Part of a batch of ingestion.
    Background,
}

/// Two FIFO queues with one condition variable. The callers limit their length (`Workers`).
pub(super) struct Queue<T> {
    queues: Mutex<Queues<T>>,
    available: Condvar,
    /// Length of each queue.
    lengths: [Gauge; 2],
}

struct Queues<T> {
    interactive: VecDeque<T>,
    background: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let queues = Queues { interactive: VecDeque::new(), background: VecDeque::new(), closed: false };
        let queue = Self {
            queues: Mutex::new(queues),
            available: Condvar::new(),
            lengths: ["search", "job"].map(|queue_name| gauge!(families::EMBED_QUEUE, "queue" => queue_name)),
        };
        queue.update_gauges(&lock(&queue.queues));
        queue
    }

    pub(super) fn push(&self, item: T, urgency: Urgency) {
        let mut queues = lock(&self.queues);
        match urgency {
            Urgency::Interactive => queues.interactive.push_back(item),
            Urgency::Background => queues.background.push_back(item),
        }
        self.update_gauges(&queues);
        self.available.notify_one();
    }

    /// Waits for the next item; `None` once the queue is closed.
    pub(super) fn next(&self) -> Option<T> {
        let mut queues = lock(&self.queues);
        loop {
            if queues.closed {
                return None;
            }
            let Queues { interactive, background, .. } = &mut *queues;
            if let Some(item) = interactive.pop_front().or_else(|| background.pop_front()) {
                self.update_gauges(&queues);
                return Some(item);
            }
            queues = self.available.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends all waits and drops the waiting items.
    pub(super) fn close(&self) {
        let mut queues = lock(&self.queues);
        queues.closed = true;
        queues.interactive.clear();
        queues.background.clear();
        self.update_gauges(&queues);
        self.available.notify_all();
    }

    #[expect(clippy::cast_precision_loss, reason = "the callers limit the length of the queues")]
    fn update_gauges(&self, queues: &Queues<T>) {
        let [interactive, background] = &self.lengths;
        interactive.set(queues.interactive.len() as f64);
        background.set(queues.background.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_items_go_first_and_the_rest_in_order() {
        let queue = Queue::new();
        for (item, urgency) in
            [(1, Urgency::Background), (2, Urgency::Background), (3, Urgency::Interactive), (4, Urgency::Interactive)]
        {
            queue.push(item, urgency);
        }
        let served: Vec<_> = std::iter::from_fn(|| queue.next()).take(4).collect();
        assert_eq!(served, [3, 4, 1, 2]);
        queue.push(5, Urgency::Background);
        queue.close();
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn closing_ends_a_wait() {
        let queue = Queue::<u8>::new();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.next());
            queue.close();
            assert_eq!(waiter.join().unwrap(), None);
        });
    }
}
