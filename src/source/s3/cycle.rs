//! Detects that the tokens or the pages of a listing repeat.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Detects a cycle in a sequence of values and keeps only one of them (Brent's algorithm).
#[derive(Debug, Default)]
pub(super) struct CycleDetector {
    remembered: Option<u64>,
    steps: u64,
    length: u64,
}

impl CycleDetector {
    /// Adds a value. Returns whether it is the remembered value, so the sequence is a cycle.
    pub(super) fn is_repeated(&mut self, value: &(impl Hash + ?Sized)) -> bool {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        let value = hasher.finish();
        if self.remembered == Some(value) {
            return true;
        }
        self.steps += 1;
        if self.steps >= self.length {
            (self.remembered, self.steps, self.length) = (Some(value), 0, (self.length * 2).max(1));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_of_any_length_is_found() {
        for (lead, length) in [(0, 1), (0, 2), (0, 3), (5, 1), (7, 4), (100, 37)] {
            let mut detector = CycleDetector::default();
            let found = (0..10 * (lead + length)).position(|at| {
                let value = if at < lead { at } else { lead + (at - lead) % length };
                detector.is_repeated(&value)
            });
            assert!(found.is_some(), "{lead} values before a cycle of {length}");
        }
        let mut detector = CycleDetector::default();
        assert!((0..100_000).all(|at| !detector.is_repeated(&at)));
    }
}
