//! Who occupies which slot, at one moment. Readers hold a version; writers make the next one.

use std::sync::Arc;

use super::vectors::Map;
use crate::domain::ImageId;

/// Slots in a block. Versions share the blocks that did not change between them.
const BLOCK: usize = 1024;

type Block = Arc<Vec<Option<ImageId>>>;

/// The occupants of a collection's slots and the map that holds their vectors. Cloning copies pointers.
#[derive(Clone, Debug)]
pub(super) struct Version {
    blocks: Vec<Block>,
    map: Arc<Map>,
    count: usize,
}

impl Version {
    /// No occupants.
    pub(super) fn empty(map: Arc<Map>) -> Self {
        Self { blocks: Vec::new(), map, count: 0 }
    }

    /// Occupied slots.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Where the vectors are.
    pub(super) fn map(&self) -> &Map {
        &self.map
    }

    /// Uses a map that is at least as long from now on.
    pub(super) fn set_map(&mut self, map: Arc<Map>) {
        self.map = map;
    }

    /// Sets who is in a slot.
    pub(super) fn set(&mut self, slot: u32, occupant: Option<ImageId>) {
        let (block, place) = (slot as usize / BLOCK, slot as usize % BLOCK);
        while self.blocks.len() <= block {
            self.blocks.push(Arc::new(vec![None; BLOCK]));
        }
        // Copies the block only where an older version that somebody holds has it too.
        let old = std::mem::replace(&mut Arc::make_mut(&mut self.blocks[block])[place], occupant);
        self.count = self.count + usize::from(occupant.is_some()) - usize::from(old.is_some());
    }

    /// The occupants, block by block: the first slot, and who is in it and in those after it.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u32, &[Option<ImageId>])> {
        (0..).step_by(BLOCK).zip(self.blocks.iter().map(|block| block.as_slice()))
    }

    /// The slots without an occupant below the last that has one, and the slot after that one.
    pub(super) fn vacant(&self) -> (Vec<u32>, u32) {
        let (mut vacant, mut seen, mut end) = (Vec::new(), 0, 0);
        for (first, block) in self.blocks() {
            for (slot, occupant) in (first..).zip(block) {
                if occupant.is_some() {
                    vacant.extend(seen..slot);
                    (seen, end) = (slot + 1, slot + 1);
                }
            }
        }
        (vacant, end)
    }
}
