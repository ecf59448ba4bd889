//! Where the code of each slot is.

/// The list and the place in the list of each slot. Only the writer of an index needs it, so it is not a part of the index.
#[derive(Debug, Default)]
pub struct Positions(Vec<Option<(u32, u32)>>);

impl Positions {
    /// Returns the position of the list and the place in it.
    pub(crate) fn get(&self, slot: u32) -> Option<(usize, usize)> {
        self.0.get(slot as usize).copied().flatten().map(|(list, at)| (list as usize, at as usize))
    }

    pub(crate) fn set(&mut self, slot: u32, list: usize, at: usize) {
        if self.0.len() <= slot as usize {
            self.0.resize(slot as usize + 1, None);
        }
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer lists and places than slots")]
        let position = (list as u32, at as u32);
        self.0[slot as usize] = Some(position);
    }

    pub(crate) fn clear(&mut self, slot: u32) {
        if let Some(position) = self.0.get_mut(slot as usize) {
            *position = None;
        }
    }
}
