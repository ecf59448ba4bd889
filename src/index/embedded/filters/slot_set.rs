//! A set of slots in chunks that copies of the set share, so that a commit copies only the chunks that it changes.

use std::sync::Arc;

/// The words of a chunk, for 8,192 slots.
pub(super) const WORDS: usize = 128;

pub(super) type Chunk = [u64; WORDS];

/// A set of slots with one bit for each.
#[derive(Clone, Debug, Default)]
pub(in crate::index::embedded) struct SlotSet {
    /// `None` for a chunk without slots.
    chunks: Vec<Option<Arc<Chunk>>>,
    /// The number of slots; `None` if it was not counted, because counting takes longer than most operations.
    len: Option<usize>,
}

impl SlotSet {
    /// Creates a set from its words.
    pub(super) fn from_chunks(chunks: Vec<Option<Arc<Chunk>>>) -> Self {
        Self { len: Some(count(&chunks)), chunks }
    }

    /// Returns whether the set contains the slot.
    pub(in crate::index::embedded) fn contains(&self, slot: u32) -> bool {
        let (chunk, word, bit) = place(slot);
        matches!(self.chunks.get(chunk), Some(Some(words)) if words[word] >> bit & 1 == 1)
    }

    /// Returns the number of slots in the set.
    pub(in crate::index::embedded) fn len(&self) -> usize {
        self.len.unwrap_or_else(|| count(&self.chunks))
    }

    /// Returns the set after counting its slots, so that copies of it need not be counted.
    pub(super) fn counted(mut self) -> Self {
        self.len = Some(self.len());
        self
    }

    /// Returns whether the set has no slots.
    pub(in crate::index::embedded) fn is_empty(&self) -> bool {
        self.chunks.iter().flatten().all(|words| words.iter().all(|word| *word == 0))
    }

    /// Iterates over the slots in ascending order.
    pub(in crate::index::embedded) fn iter(&self) -> impl Iterator<Item = u32> {
        let chunks = (0..).step_by(WORDS * 64).zip(&self.chunks);
        let words = chunks.filter_map(|(first, words)| Some((first..).step_by(64).zip(words.as_ref()?.iter())));
        words.flatten().flat_map(|(first, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                // Removes the lowest bit.
                rest &= rest.wrapping_sub(1);
                (bit < 64).then_some(first + bit)
            })
        })
    }

    /// Returns the memory of the set, also if other sets share it.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.chunks[..]) + self.chunks.iter().flatten().count() * size_of::<Chunk>()
    }

    /// Adds a slot to the set, or removes it.
    pub(in crate::index::embedded) fn set(&mut self, slot: u32, included: bool) {
        if self.contains(slot) == included {
            return;
        }
        let (chunk, word, bit) = place(slot);
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, None);
        }
        let words = self.chunks[chunk].get_or_insert_with(|| Arc::new([0; WORDS]));
        Arc::make_mut(words)[word] ^= 1 << bit;
        self.len = self.len.map(|len| if included { len + 1 } else { len - 1 });
    }

    /// Removes the slots for which `is_kept` returns false.
    pub(in crate::index::embedded) fn retain(&mut self, is_kept: impl Fn(u32) -> bool) {
        let removed: Vec<u32> = self.iter().filter(|slot| !is_kept(*slot)).collect();
        for slot in removed {
            self.set(slot, false);
        }
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        self.chunks.truncate(other.chunks.len());
        for (own, other) in self.chunks.iter_mut().zip(&other.chunks) {
            match other {
                None => *own = None,
                Some(other) => combine(own, other, |own, other| own & other),
            }
        }
        self.len = None;
    }

    pub(super) fn unite(&mut self, other: &Self) {
        if self.chunks.len() < other.chunks.len() {
            self.chunks.resize(other.chunks.len(), None);
        }
        for (own, other) in self.chunks.iter_mut().zip(&other.chunks) {
            match (&own, other) {
                (_, None) => {}
                (None, Some(_)) => own.clone_from(other),
                (Some(_), Some(other)) => combine(own, other, |own, other| own | other),
            }
        }
        self.len = None;
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        for (own, other) in self.chunks.iter_mut().zip(&other.chunks) {
            if let Some(other) = other {
                combine(own, other, |own, other| own & !other);
            }
        }
        self.len = None;
    }
}

fn count(chunks: &[Option<Arc<Chunk>>]) -> usize {
    let words = chunks.iter().flatten().flat_map(|words| words.iter());
    words.map(|word| word.count_ones() as usize).sum()
}

fn place(slot: u32) -> (usize, usize, u32) {
    let word = slot as usize / 64;
    (word / WORDS, word % WORDS, slot % 64)
}

fn combine(own: &mut Option<Arc<Chunk>>, other: &Chunk, operation: impl Fn(u64, u64) -> u64) {
    if let Some(own) = own {
        for (own, other) in Arc::make_mut(own).iter_mut().zip(other) {
            *own = operation(*own, *other);
        }
    }
}

impl FromIterator<u32> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u32>>(slots: I) -> Self {
        let mut set = Self::default();
        slots.into_iter().for_each(|slot| set.set(slot, true));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn slots() -> impl Strategy<Value = BTreeSet<u32>> {
        prop::collection::btree_set(prop_oneof![0..200_u32, 8_100..8_300_u32, 40_000..40_100_u32], 0..100)
    }

    fn check(set: &SlotSet, expected: &BTreeSet<u32>) {
        assert!(set.iter().eq(expected.iter().copied()));
        assert_eq!((set.len(), set.is_empty()), (expected.len(), expected.is_empty()));
        assert!((0..50_000).all(|slot| set.contains(slot) == expected.contains(&slot)));
    }

    proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]
            #[test]
            fn operations_are_those_of_sets(a in slots(), b in slots()) {
                let set = |slots: &BTreeSet<u32>| slots.iter().copied().collect::<SlotSet>();
                let (first, second) = (set(&a), set(&b));
                let result = |operation: fn(&mut SlotSet, &SlotSet)| {
                    let mut result = first.clone();
                    operation(&mut result, &second);
                    result
                };
                check(&result(SlotSet::intersect), &(&a & &b));
                check(&result(SlotSet::unite), &(&a | &b));
                check(&result(SlotSet::subtract), &(&a - &b));
                let mut removed = first.clone();
                for slot in &b {
     removed.set(*slot, false);
    }
                check(&removed, &(&a - &b));
                // The copies have not changed the original.
                check(&first, &a);
            }
        }
}
