//! The record in each slot at one moment. Readers hold a version; the writer makes the next one.

use std::sync::Arc;

use ivf::Index;

use super::fingerprint::Fingerprint;
use super::ids::IdMap;
use super::vectors::Map;
use crate::domain::ImageId;

/// The number of slots in a block. Versions share the blocks that did not change between them.
pub(super) const BLOCK: usize = 1024;

type Block = Arc<Vec<Option<ImageId>>>;

/// The occupants of a collection's slots and the map that holds their vectors. Cloning copies pointers.
#[derive(Clone, Debug)]
pub(super) struct Version {
    blocks: Vec<Block>,
    ids: IdMap,
    map: Arc<Map>,
    fingerprint: Fingerprint,
    lists: Option<Index>,
    /// Whether `lists` has every record.
    lists_are_complete: bool,
}

impl Version {
    /// Creates a version without occupied slots.
    pub(super) fn empty(map: Arc<Map>) -> Self {
        let (blocks, ids) = (Vec::new(), IdMap::default());
        Self { blocks, ids, map, fingerprint: Fingerprint::default(), lists: None, lists_are_complete: false }
    }

    /// Creates a version from the ids in slots.
    pub(super) fn new(map: Arc<Map>, slots: impl Iterator<Item = (u32, ImageId)>) -> Self {
        let mut version = Self::empty(map);
        for (slot, id) in slots {
            version.set_occupant(slot, Some(id));
        }
        let mut duplicates = Vec::new();
        version.ids = IdMap::new(version.occupied().map(|(slot, id)| (id, slot)), |slot| duplicates.push(slot));
        for slot in duplicates {
            version.set_occupant(slot, None);
        }
        version
    }

    /// Returns the number of occupied slots.
    pub(super) fn count(&self) -> usize {
        self.fingerprint.records()
    }

    /// Returns the fingerprint of all records.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns the map with the vectors.
    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    /// Returns the map, to keep it.
    pub(super) fn shared_map(&self) -> Arc<Map> {
        Arc::clone(&self.map)
    }

    /// Replaces the map. The new one must have a row for each occupied slot.
    pub(super) fn set_map(&mut self, map: Arc<Map>) {
        self.map = map;
    }

    /// Returns the approximate index; `None` if the collection has no complete one.
    pub(super) fn lists(&self) -> Option<&Index> {
        self.lists.as_ref().filter(|_| self.lists_are_complete)
    }

    /// Returns the approximate index, which may not have every record yet.
    pub(super) fn unfinished_lists(&self) -> Option<&Index> {
        self.lists.as_ref()
    }

    /// Returns the approximate index, to change it.
    pub(super) fn lists_mut(&mut self) -> Option<&mut Index> {
        self.lists.as_mut()
    }

    /// Sets an approximate index that may not have every record yet.
    pub(super) fn set_lists(&mut self, lists: Index) {
        (self.lists, self.lists_are_complete) = (Some(lists), false);
    }

    /// Records that the approximate index has every record.
    pub(super) fn complete_lists(&mut self) {
        self.lists_are_complete = true;
    }

    /// Returns one more than the highest slot that can be occupied.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.blocks.len() * BLOCK).unwrap_or(u32::MAX)
    }

    /// Sets the id of the record in a slot; `None` empties it.
    pub(super) fn set(&mut self, slot: u32, occupant: Option<ImageId>) {
        if let Some(old) = self.set_occupant(slot, occupant) {
            self.ids.remove(old, slot);
        }
        if let Some(id) = occupant {
            self.ids.insert(id, slot);
        }
    }

    /// Returns the occupant before.
    fn set_occupant(&mut self, slot: u32, occupant: Option<ImageId>) -> Option<ImageId> {
        let (block, place) = (slot as usize / BLOCK, slot as usize % BLOCK);
        while self.blocks.len() <= block {
            self.blocks.push(Arc::new(vec![None; BLOCK]));
        }
        // Copies the block only if an older version shares it.
        let old = std::mem::replace(&mut Arc::make_mut(&mut self.blocks[block])[place], occupant);
        if let Some(old) = old {
            self.fingerprint.remove(slot, old);
        }
        if let Some(id) = occupant {
            self.fingerprint.add(slot, id);
        }
        old
    }

    /// Returns the slot of each id.
    pub(super) fn ids(&self) -> &IdMap {
        &self.ids
    }

    /// Returns the id of the record in a slot.
    pub(super) fn occupant(&self, slot: u32) -> Option<ImageId> {
        self.blocks.get(slot as usize / BLOCK).and_then(|block| block[slot as usize % BLOCK])
    }

    /// Iterates over the blocks: for each, its first slot and the ids in its slots.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u32, &[Option<ImageId>])> + Clone {
        (0..).step_by(BLOCK).zip(self.blocks.iter().map(|block| block.as_slice()))
    }

    /// Iterates over the occupied slots in ascending order, with the ids in them.
    pub(super) fn occupied(&self) -> impl Iterator<Item = (u32, ImageId)> + Clone {
        let slots = self.blocks().flat_map(|(first, block)| (first..).zip(block));
        slots.filter_map(|(slot, occupant)| occupant.map(|id| (slot, id)))
    }

    /// Iterates over the occupied slots that are not before `first`, with the ids in them.
    pub(super) fn occupied_from(&self, first: u32) -> impl Iterator<Item = (u32, ImageId)> {
        (first..self.slots()).filter_map(|slot| self.occupant(slot).map(|id| (slot, id)))
    }

    /// Removes the empty slots from `end` on, a multiple of [`BLOCK`], and sets the map that has no rows for them.
    pub(super) fn truncate(&mut self, end: u32, map: Arc<Map>) {
        self.blocks.truncate(end as usize / BLOCK);
        self.map = map;
    }

    /// Returns the slots whose occupants are not those of an earlier version; `None` if there are more than `max`.
    pub(super) fn changes_since(&self, earlier: &Self, max: usize) -> Option<Vec<u32>> {
        let mut changes = Vec::new();
        for (at, (first, block)) in self.blocks().enumerate() {
            let before = earlier.blocks.get(at);
            if before.is_some_and(|before| Arc::ptr_eq(before, &self.blocks[at])) {
                continue;
            }
            let before = (0..BLOCK).map(|place| before.and_then(|before| before[place]));
            let changed = (first..).zip(block.iter().zip(before)).filter(|(_, (new, old))| **new != *old);
            changes.extend(changed.map(|(slot, _)| slot));
            if changes.len() > max {
                return None;
            }
        }
        Some(changes)
    }

    /// Returns the empty slots below the last occupied one, and the slot after the last occupied one.
    pub(super) fn vacant(&self) -> (Vec<u32>, u32) {
        let (mut vacant, mut next, mut end) = (Vec::new(), 0, 0);
        for (first, block) in self.blocks() {
            for (slot, occupant) in (first..).zip(block) {
                if occupant.is_some() {
                    vacant.extend(next..slot);
                    (next, end) = (slot + 1, slot + 1);
                }
            }
        }
        (vacant, end)
    }
}
