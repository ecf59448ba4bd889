//! The threads that searches share.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::resilience::cores;

/// The cores that no search uses beside its own thread. A search takes those that are free, so one search is as fast as
/// possible, and many at the same time have one thread each.
#[derive(Debug)]
pub(super) struct ScanThreads(AtomicUsize);

/// Threads that a search holds, its own included; they are returned when this is dropped.
#[derive(Debug)]
pub(super) struct ThreadPermits<'a> {
    free: &'a AtomicUsize,
    taken: usize,
}

impl Default for ScanThreads {
    fn default() -> Self {
        Self(AtomicUsize::new(cores().get()))
    }
}

impl ScanThreads {
    /// Takes the free threads, at least one.
    pub(super) fn take(&self) -> ThreadPermits<'_> {
        ThreadPermits { free: &self.0, taken: self.0.swap(0, Relaxed) }
    }
}

impl ThreadPermits<'_> {
    pub(super) fn count(&self) -> usize {
        self.taken.max(1)
    }
}

impl Drop for ThreadPermits<'_> {
    fn drop(&mut self) {
        self.free.fetch_add(self.taken, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_searches_have_one_thread_each() {
        let threads = ScanThreads(AtomicUsize::new(4));
        let first = threads.take();
        let second = threads.take();
        assert_eq!((first.count(), second.count()), (4, 1));
        drop(first);
        assert_eq!(threads.take().count(), 4);
        drop(second);
        assert_eq!(threads.take().count(), 4);
    }
}
