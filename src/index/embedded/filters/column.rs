//! A value for each slot, in chunks that copies share as those of a [`SlotSet`].

use std::sync::Arc;

use super::slot_set::{SlotSet, WORDS};

const CHUNK: usize = WORDS * 64;

/// A value for each slot; the default value for an empty slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Column<V> {
    /// `None` for a chunk of empty slots.
    chunks: Vec<Option<Arc<Vec<V>>>>,
}

impl<V: Copy + Default> Column<V> {
    pub(super) fn get(&self, slot: u32) -> V {
        match self.chunks.get(slot as usize / CHUNK) {
            Some(Some(values)) => values[slot as usize % CHUNK],
            Some(None) | None => V::default(),
        }
    }

    pub(super) fn set(&mut self, slot: u32, value: V) {
        let (chunk, place) = (slot as usize / CHUNK, slot as usize % CHUNK);
        if self.chunks.len() <= chunk {
            self.chunks.resize(chunk + 1, None);
        }
        let values = self.chunks[chunk].get_or_insert_with(|| Arc::new(vec![V::default(); CHUNK]));
        Arc::make_mut(values)[place] = value;
    }

    /// Returns the slots whose values match.
    pub(super) fn select(&self, matches: impl Fn(V) -> bool) -> SlotSet {
        let chunks = self.chunks.iter().map(|values| {
            let mut words = [0; WORDS];
            for (word, values) in words.iter_mut().zip(values.as_ref()?.chunks_exact(64)) {
                for (bit, value) in values.iter().enumerate() {
                    *word |= u64::from(matches(*value)) << bit;
                }
            }
            words.iter().any(|word| *word != 0).then(|| Arc::new(words))
        });
        SlotSet::from_chunks(chunks.collect())
    }

    /// Calls `each` with the values of the slots in `allowed`; `None` for all slots.
    pub(super) fn each(&self, allowed: Option<&SlotSet>, mut each: impl FnMut(V)) {
        match allowed {
            Some(allowed) => allowed.iter().for_each(|slot| each(self.get(slot))),
            None => self.chunks.iter().flatten().for_each(|values| values.iter().for_each(|value| each(*value))),
        }
    }

    /// Returns the memory of the column, also if other columns share it.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.chunks[..]) + self.chunks.iter().flatten().count() * CHUNK * size_of::<V>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_its_values() {
        let mut column = Column::default();
        let slots = [0, 63, 64, 8_191, 8_192, 50_000];
        for slot in slots {
            column.set(slot, slot + 1);
        }
        let copy = column.clone();
        column.set(64, 0);
        column.set(7, 3);
        assert!(column.select(|value| value > 0).iter().eq([0, 7, 63, 8_191, 8_192, 50_000]));
        assert!(copy.select(|value| value > 0).iter().eq(slots));
        assert_eq!([copy.get(64), copy.get(65), copy.get(20_000), copy.get(1_000_000)], [65, 0, 0, 0]);
        let sum = |allowed: Option<&SlotSet>| {
            let mut sum = 0;
            column.each(allowed, |value| sum += value);
            sum
        };
        assert_eq!(sum(None), 1 + 64 + 8_192 + 8_193 + 50_001 + 3);
        assert_eq!(sum(Some(&[63, 64, 8_192, 70_000].into_iter().collect())), 64 + 8_193);
    }
}
