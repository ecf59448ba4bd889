//! Blocks of codes in the order in which the kernels read them.
//!
//! Codes of 32 vectors and 16 numbers are 128 bytes: four rows of 32 bytes, each for eight vectors. Byte `4 v + j` of a row has
//! the codes of vector `v` for the numbers `j`, `4 + j`, `8 + j` and `12 + j`, from the lowest bits to the highest. So a
//! shift and a mask give each byte lane of a register one code, and four neighbours belong to one vector.

use std::sync::Arc;

use crate::kernel::prefetch;

/// The vectors in a block.
pub(crate) const BLOCK: usize = 64;
/// The vectors that a kernel computes at the same time.
pub(crate) const GROUP: usize = 32;
/// The numbers whose codes are neighbours.
pub(crate) const STEP: usize = 16;
/// The bytes for [`GROUP`] vectors and [`STEP`] numbers.
pub(crate) const STEP_BYTES: usize = GROUP * STEP / 4;

/// The vectors whose bytes for one step fill a cache line.
pub(crate) const RUN: usize = 16;
/// The bytes of the slot and the scale before a packed code.
pub(crate) const PACKED_HEAD: usize = 8;

/// Returns the slot and the scale of a packed code.
pub(crate) fn packed_head(code: &[u8]) -> (u32, f32) {
    let number = |at: usize| code[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    (number(0), f32::from_bits(number(4)))
}

/// The codes of up to [`BLOCK`] vectors.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) slots: [u32; BLOCK],
    /// What the sum of a kernel is multiplied with.
    pub(crate) scales: [f32; BLOCK],
    pub(crate) codes: Vec<u8>,
}

impl Block {
    fn new(length: usize) -> Self {
        Self { slots: [0; BLOCK], scales: [0.0; BLOCK], codes: vec![0; BLOCK * length / 4] }
    }

    /// Returns the position of the first four bytes of a vector. The next ones follow after [`STEP_BYTES`].
    fn first(&self, place: usize) -> usize {
        place / GROUP * (self.codes.len() / (BLOCK / GROUP)) + place % GROUP * 4
    }

    fn set(&mut self, place: usize, (slot, scale): (u32, f32), row: &[u8]) {
        (self.slots[place], self.scales[place]) = (slot, scale);
        let first = self.first(place);
        let steps = self.codes[first..].chunks_mut(STEP_BYTES);
        for (four, step) in row.as_chunks::<4>().0.iter().zip(steps) {
            step[..4].copy_from_slice(four);
        }
    }

    /// Sets packed codes from `place` on, a multiple of [`RUN`], to its next multiple at most.
    fn fill(&mut self, place: usize, codes: &[u8]) {
        let (length, stride) = (self.codes.len() / BLOCK, PACKED_HEAD + self.codes.len() / BLOCK);
        let count = codes.len() / stride;
        for at in 0..count {
            (self.slots[place + at], self.scales[place + at]) = packed_head(&codes[at * stride..]);
        }
        let first = self.first(place);
        for step in 0..length / 4 {
            let target = &mut self.codes[first + step * STEP_BYTES..][..count * 4];
            for at in 0..count {
                let from = at * stride + PACKED_HEAD + step * 4;
                target[at * 4..at * 4 + 4].copy_from_slice(&codes[from..from + 4]);
            }
        }
    }

    /// Copies the code of a vector to `row`.
    fn copy(&self, place: usize, row: &mut [u8]) {
        let steps = self.codes[self.first(place)..].chunks(STEP_BYTES);
        for (four, step) in row.as_chunks_mut::<4>().0.iter_mut().zip(steps) {
            four.copy_from_slice(&step[..4]);
        }
    }

    fn row(&self, place: usize) -> Vec<u8> {
        let mut row = vec![0; self.codes.len() / BLOCK];
        self.copy(place, &mut row);
        row
    }
}

/// Any number of codes. Clones share the blocks that do not change.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    length: usize,
    count: usize,
    blocks: Vec<Arc<Block>>,
}

impl Codes {
    /// Creates an empty list of codes of vectors of `length` numbers, a multiple of [`STEP`].
    pub(crate) fn new(length: usize) -> Self {
        Self { length, count: 0, blocks: Vec::new() }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Iterates over the blocks, each with the number of its vectors.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&Block, usize)> {
        (0..).step_by(BLOCK).zip(&self.blocks).map(|(first, block)| (&**block, (self.count - first).min(BLOCK)))
    }

    /// Returns the codes of a block, to load them ahead, and starts to load the slots and scales of the block after it. The blocks
    /// of `next` follow those of this list.
    pub(crate) fn ahead<'a>(&'a self, block: usize, next: Option<&'a Self>) -> Option<&'a [u8]> {
        let find = |block: usize| match block.checked_sub(self.blocks.len()) {
            None => self.blocks.get(block),
            Some(block) => next.and_then(|next| next.blocks.get(block)),
        };
        // Otherwise the next call waits for the address of the codes, which is beside them.
        if let Some(block) = find(block + 1) {
            prefetch(std::slice::from_ref(&**block));
        }
        find(block).map(|block| block.codes.as_slice())
    }

    /// Iterates over the slots in their order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.blocks().flat_map(|(block, count)| block.slots[..count].iter().copied())
    }

    /// Copies the code at a place to `row`, and returns its scale.
    pub(crate) fn copy(&self, at: usize, row: &mut [u8]) -> f32 {
        let (block, place) = (&self.blocks[at / BLOCK], at % BLOCK);
        block.copy(place, row);
        block.scales[place]
    }

    /// Appends a code, or replaces the one at `at`.
    pub(crate) fn set(&mut self, at: usize, slot: u32, scale: f32, row: &[u8]) {
        if at == self.count {
            self.count += 1;
            if at.is_multiple_of(BLOCK) {
                self.blocks.push(Arc::new(Block::new(self.length)));
            }
        }
        Arc::make_mut(&mut self.blocks[at / BLOCK]).set(at % BLOCK, (slot, scale), row);
    }

    /// Appends at most [`RUN`] codes after a multiple of [`RUN`] codes, each as its slot, its scale and its bytes, one after
    /// the other. Much faster than [`set`](Self::set), which writes to a cache line for each four bytes.
    pub(crate) fn append(&mut self, codes: &[u8]) {
        if self.count.is_multiple_of(BLOCK) {
            self.blocks.push(Arc::new(Block::new(self.length)));
        }
        let place = self.count % BLOCK;
        if let Some(block) = self.blocks.last_mut() {
            Arc::make_mut(block).fill(place, codes);
        }
        self.count += codes.len() / (PACKED_HEAD + self.length / 4);
    }

    /// Removes the code at `at`; the last code takes its place. Returns the slot of the code that was moved.
    pub(crate) fn swap_remove(&mut self, at: usize) -> Option<u32> {
        let last = self.count - 1;
        let moved = (at != last).then(|| {
            let (block, place) = (&self.blocks[last / BLOCK], last % BLOCK);
            let (slot, scale, row) = (block.slots[place], block.scales[place], block.row(place));
            self.set(at, slot, scale, &row);
            slot
        });
        self.count = last;
        self.blocks.truncate(last.div_ceil(BLOCK));
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_set_moved_and_removed() {
        let row = |slot: u32| (0..16).map(|i| (slot * 31 + i * 7).to_le_bytes()[0]).collect::<Vec<u8>>();
        let mut codes = Codes::new(64);
        for slot in 0..130 {
            codes.set(slot as usize, slot, 1.0, &row(slot));
        }
        let before = codes.clone();
        assert_eq!(codes.swap_remove(5), Some(129));
        assert_eq!(codes.swap_remove(128), None);
        assert_eq!((codes.count(), codes.blocks().count()), (128, 2));
        let slots: Vec<u32> = codes.slots().collect();
        assert_eq!((slots[5], slots[127]), (129, 127));
        for (at, slot) in slots.into_iter().enumerate() {
            assert_eq!(codes.blocks[at / BLOCK].row(at % BLOCK), row(slot), "{at}");
        }
        assert_eq!((before.count(), before.slots().nth(5)), (130, Some(5)), "a clone does not change");
    }
}
