//! The sets and columns that are kept in memory, in the state of one version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::item::{Item, Key};
use super::predicate::Attributes;

/// The maximum number of items. Each commit changes each of them for each of its records.
const MAX_ITEMS: usize = 128;
/// The maximum memory of the items, for each slot of the collection, and for a small collection.
const MAX_BYTES_PER_SLOT: usize = 48;
const MIN_LIMIT: usize = 4 << 20;

/// The items that were used last. Cloning copies pointers.
#[derive(Clone, Debug, Default)]
pub(in crate::index::embedded) struct FilterCache {
    entries: Vec<Arc<Entry>>,
    /// Counts the uses, to know the order of the last ones.
    clock: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
struct Entry {
    item: Item,
    last_use: Arc<AtomicU64>,
}

impl FilterCache {
    /// Returns an item if the cache has it.
    pub(super) fn get(&self, key: Key<'_>) -> Option<&Item> {
        let entry = self.entries.iter().find(|entry| entry.item.key() == key)?;
        entry.last_use.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(&entry.item)
    }

    /// Adds an item unless the cache has it. `slots` is the number of slots of the collection.
    pub(super) fn insert(&mut self, item: Item, slots: u32) {
        if self.get(item.key()).is_none() && item.bytes() <= max_bytes(slots) {
            let last_use = Arc::new(AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed)));
            self.entries.push(Arc::new(Entry { item, last_use }));
            self.remove_oldest(slots);
        }
    }

    /// Applies a commit: the slots that it emptied, and those that it filled with their records.
    pub(in crate::index::embedded) fn apply(&mut self, emptied: &[u32], filled: &[(u32, Attributes)], slots: u32) {
        let changes = || {
            let emptied = emptied.iter().map(|slot| (*slot, None));
            emptied.chain(filled.iter().map(|(slot, attributes)| (*slot, Some(attributes))))
        };
        for entry in &mut self.entries {
            let changes: Vec<_> =
                changes().filter(|(slot, attributes)| entry.item.is_changed(*slot, *attributes)).collect();
            if !changes.is_empty() {
                let item = &mut Arc::make_mut(entry).item;
                for (slot, attributes) in changes {
                    item.set(slot, attributes);
                }
            }
        }
        self.remove_oldest(slots);
    }

    pub(in crate::index::embedded) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes the items that were used longest ago until the limits are kept.
    fn remove_oldest(&mut self, slots: u32) {
        while self.entries.len() > MAX_ITEMS || self.bytes() > max_bytes(slots) {
            let oldest = (0..self.entries.len()).min_by_key(|at| self.entries[*at].last_use.load(Ordering::Relaxed));
            let Some(oldest) = oldest else { break };
            self.entries.swap_remove(oldest);
        }
    }

    fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.item.bytes()).sum()
    }
}

/// Returns the maximum memory of all items of a collection with this number of slots.
pub(super) fn max_bytes(slots: u32) -> usize {
    (slots as usize).saturating_mul(MAX_BYTES_PER_SLOT).max(MIN_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::super::predicate::Predicate;
    use super::super::slot_set::SlotSet;
    use super::*;

    #[test]
    fn the_items_that_were_used_longest_ago_are_removed() {
        let mut cache = FilterCache::default();
        let set: SlotSet = [7].into_iter().collect();
        let insert = |cache: &mut FilterCache, number: u32, set: &SlotSet| {
            cache.insert(Item::Slots(Predicate::MinWidth(number), set.clone()), 10);
        };
        let is_kept = |cache: &FilterCache, number| cache.get(Key::Slots(&Predicate::MinWidth(number))).is_some();
        let last = u32::try_from(MAX_ITEMS).unwrap();
        (0..last).for_each(|number| insert(&mut cache, number, &set));
        assert!(is_kept(&cache, 0));
        let before = cache.clone();
        insert(&mut cache, last, &set);
        assert_eq!([0, 1, 2, last].map(|number| is_kept(&cache, number)), [true, false, true, true]);
        assert!(is_kept(&before, 1), "a reader has lost a set");

        // A kilobyte for each of 1,024 chunks.
        let large: SlotSet = (0..8_192 * 1_024).step_by(8_192).collect();
        for number in 1_000..1_010 {
            insert(&mut cache, number, &large);
            assert!(cache.bytes() <= max_bytes(10) && is_kept(&cache, number), "{number}");
        }
        assert!(!is_kept(&cache, 1_000) && !is_kept(&cache, 0));

        // A commit can make the sets too large.
        let filled: Vec<_> = (2_000..4_000).map(|chunk| (chunk * 8_192, attributes())).collect();
        cache.apply(&[], &filled, 10);
        assert!(cache.bytes() <= max_bytes(10));
    }

    fn attributes() -> Attributes {
        Attributes::new(&crate::index::shared::example_record("a.jpg", vec![1.0]).payload)
    }
}
