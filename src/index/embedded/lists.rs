//! When a collection gets its approximate index (the package `ivf`), and how changes reach it.
//!
//! A collection of at least [`MIN_RECORDS`] records gets one. It is built in steps on the writer's thread, with other writes in
//! between. Until it is complete, searches are exact. After that, each commit changes it together with the version.

use ivf::{Entry, Index, Positions};

use super::vectors::Map;
use super::version::Version;
use crate::domain::ImageId;

/// Below this number of records, the exact search is as fast.
pub(super) const MIN_RECORDS: usize = 20_000;
/// The slots that one step of the construction looks at.
const SLOTS_PER_STEP: u32 = 1_000;

/// What only the writer knows about the approximate index.
#[derive(Debug, Default)]
pub(super) struct ListsWriter {
    positions: Positions,
    unfinished: Option<Unfinished>,
}

/// An index that does not contain all records yet.
#[derive(Debug)]
struct Unfinished {
    index: Index,
    /// The first slot that is not in it.
    next: u32,
}

impl ListsWriter {
    /// Returns whether the collection needs an index and has none.
    pub(super) fn is_needed(version: &Version) -> bool {
        version.lists().is_none() && version.count() >= MIN_RECORDS
    }

    /// Adds some records to an unfinished index; begins one if there is none. Returns whether there is more to do. The finished
    /// index is put into `publish`.
    pub(super) fn build_step(&mut self, version: &Version, publish: &mut Option<Index>) -> bool {
        let Self { positions, unfinished } = self;
        let building = unfinished.get_or_insert_with(|| {
            *positions = Positions::default();
            Unfinished { index: Index::new(version.map().stride()), next: 0 }
        });
        let (index, map) = (&mut building.index, version.map());
        let end = version.slots().min(building.next.saturating_add(SLOTS_PER_STEP));
        for slot in (building.next..end).filter(|slot| version.occupant(*slot).is_some()) {
            let entry = index.encode(map.row(slot));
            insert(index, positions, slot, &entry, map);
        }
        building.next = end;
        if end < version.slots() {
            return true;
        }
        *publish = unfinished.take().map(|finished| finished.index);
        false
    }

    /// Removes slots whose records were replaced or deleted.
    pub(super) fn remove(&mut self, index: &mut Option<Index>, slots: &[u32]) {
        let Self { positions, unfinished } = self;
        if let Some(index) = index.as_mut().or(unfinished.as_mut().map(|building| &mut building.index)) {
            slots.iter().for_each(|slot| index.remove(positions, *slot));
        }
    }

    /// Adds slots. An unfinished index gets those that its construction has passed.
    pub(super) fn add(&mut self, index: &mut Option<Index>, added: &[(u32, ImageId, Option<Entry>)], map: &Map) {
        let Self { positions, unfinished } = self;
        let (index, end) = match (index, unfinished) {
            (Some(index), _) => (index, u32::MAX),
            (None, Some(building)) => (&mut building.index, building.next),
            (None, None) => return,
        };
        for (slot, _, entry) in added.iter().filter(|(slot, ..)| *slot < end) {
            match entry {
                Some(entry) => index.insert(positions, *slot, entry, map),
                None => index.insert(positions, *slot, &index.encode(map.row(*slot)), map),
            }
        }
    }

    /// Returns how the lists of these slots that are too long are split.
    pub(super) fn plan_splits(&self, index: &Index, added: &[u32], map: &Map) -> Vec<ivf::Split> {
        let mut lists: Vec<usize> =
            added.iter().filter_map(|slot| index.list_to_split(&self.positions, *slot)).collect();
        lists.sort_unstable();
        lists.dedup();
        lists.into_iter().map(|list| index.plan_split(list, map)).collect()
    }

    pub(super) fn apply_splits(&mut self, index: &mut Index, splits: Vec<ivf::Split>) {
        for split in splits {
            index.apply_split(&mut self.positions, split);
        }
    }
}

fn insert(index: &mut Index, positions: &mut Positions, slot: u32, entry: &Entry, map: &Map) {
    index.insert(positions, slot, entry, map);
    if let Some(list) = index.list_to_split(positions, slot) {
        let split = index.plan_split(list, map);
        index.apply_split(positions, split);
    }
}

#[cfg(test)]
#[path = "lists_tests.rs"]
mod tests;
