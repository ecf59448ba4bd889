//! The slots that a writer may write. A slot whose record was replaced or deleted waits here until
//!
//! 1. no reader holds a version in which it is occupied, so that no reader sees a partly written vector, and
//! 2. the commit that emptied it is on the disk. A power loss can undo commits that are not on the disk, and the old
//!    vector must still be in the old slot then.
//!
//! Versions end in any order, but slots are released in the order of the commits: a slot that a commit emptied was
//! occupied in every version before it, so it waits until no reader holds any of those.

use std::collections::VecDeque;
use std::sync::Weak;

use super::version::Version;

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Slots that may be written, the lowest last.
    free: Vec<u32>,
    /// The first slot that was never used.
    end: u32,
    waiting: VecDeque<Emptied>,
}

#[derive(Debug)]
struct Emptied {
    /// The version before the commit. Every commit has an entry, even one that empties no slot, so that the front of
    /// the queue stands for every older version.
    before: Weak<Version>,
    slots: Vec<u32>,
    on_disk: bool,
}

impl Slots {
    /// Creates the free list for a version that was just read from the disk.
    pub(super) fn from_version(version: &Version) -> Self {
        let (mut free, end) = version.vacant();
        free.reverse();
        Self { free, end, waiting: VecDeque::new() }
    }

    /// Takes slots that no reader uses, in ascending order, so that the writes are mostly sequential.
    pub(super) fn take(&mut self, count: usize) -> Vec<u32> {
        self.release();
        let mut slots = self.free.split_off(self.free.len().saturating_sub(count));
        while slots.len() < count {
            slots.push(self.end);
            self.end += 1;
        }
        slots.sort_unstable();
        slots
    }

    /// Returns the slots of a failed write. No reader has used them.
    pub(super) fn return_unused(&mut self, slots: Vec<u32>) {
        self.free.extend(slots);
    }

    /// Returns one more than the highest slot that was ever taken.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Must be called after every commit, with the version before it and the slots that it emptied.
    pub(super) fn add_emptied(&mut self, before: Weak<Version>, slots: Vec<u32>) {
        self.waiting.push_back(Emptied { before, slots, on_disk: false });
    }

    /// Records that every commit so far is on the disk.
    pub(super) fn mark_synced(&mut self) {
        for emptied in &mut self.waiting {
            emptied.on_disk = true;
        }
    }

    /// Returns how many slots before `end` can be written now. The next call of [`take`](Self::take) takes these first.
    pub(super) fn free_below(&mut self, end: u32) -> usize {
        self.release();
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        self.free.iter().filter(|slot| **slot < end).count() + end.saturating_sub(self.end) as usize
    }

    /// Gives up all slots from `end` on. Returns `false`, without a change, if one of them may still be used.
    pub(super) fn truncate(&mut self, end: u32) -> bool {
        self.release();
        let last = self.free.iter().filter(|slot| **slot >= end).count();
        if last < self.end.saturating_sub(end) as usize {
            return false;
        }
        self.free.retain(|slot| *slot < end);
        self.end = self.end.min(end);
        true
    }

    fn release(&mut self) {
        while let Some(emptied) = self.waiting.pop_front_if(|first| first.on_disk && first.before.strong_count() == 0) {
            self.free.extend(emptied.slots);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::vectors::Vectors;
    use super::*;

    #[test]
    fn a_slot_waits_for_every_reader_of_an_older_version_and_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let map = Vectors::open(&folder.path().join("v"), 2, 1).unwrap().map();
        let version = || Arc::new(Version::empty(map.clone()));
        let mut slots = Slots::default();
        assert_eq!(slots.take(2), [0, 1]);

        // A reader holds the first version; the commit after it empties nothing, the next one slot 0.
        let held = version();
        slots.add_emptied(Arc::downgrade(&held), vec![]);
        slots.add_emptied(Arc::downgrade(&version()), vec![0]);
        assert_eq!(slots.take(1), [2], "not on the disk, and the reader may still use slot 0");
        slots.mark_synced();
        assert_eq!(slots.take(1), [3], "the reader may still use slot 0");
        drop(held);
        assert_eq!(slots.take(2), [0, 4]);
        slots.add_emptied(Arc::downgrade(&version()), vec![1]);
        assert_eq!(slots.take(1), [5], "not on the disk");
        slots.return_unused(vec![5]);
        assert_eq!(slots.take(2), [5, 6]);
    }
}
