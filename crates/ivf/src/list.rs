//! A list of similar vectors.

use std::sync::Arc;

use crate::block::{Codes, PACKED_HEAD, packed_head};
use crate::centers::Center;
use crate::code::NUMBER_DEVIATION;

/// The codes of the vectors that are nearest to a centroid.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) center: Arc<Center>,
    pub(crate) codes: Codes,
    /// The sum of the squared scales of the vectors that were added, and their number.
    squares: f64,
    added: u32,
}

impl List {
    pub(crate) fn new(center: Arc<Center>) -> Self {
        let codes = Codes::new(center.centroid.len());
        Self { center, codes, squares: 0.0, added: 0 }
    }

    pub(crate) fn push(&mut self, slot: u32, scale: f32, row: &[u8]) {
        self.codes.set(self.codes.count(), slot, scale, row);
        self.squares += f64::from(scale).powi(2);
        self.added = self.added.saturating_add(1);
    }

    /// Appends packed codes; see [`Codes::append`].
    pub(crate) fn append(&mut self, codes: &[u8]) {
        for code in codes.chunks_exact(PACKED_HEAD + self.center.centroid.len() / 4) {
            self.squares += f64::from(packed_head(code).1).powi(2);
            self.added = self.added.saturating_add(1);
        }
        self.codes.append(codes);
    }

    /// Returns the root of the mean squared distance of the vectors and the centroid, as their codes tell it.
    pub(crate) fn radius(&self) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "a distance of unit vectors")]
        let scale = (self.squares / f64::from(self.added.max(1))).sqrt() as f32;
        #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
        let length = self.center.centroid.len() as f32;
        scale * NUMBER_DEVIATION * length.sqrt()
    }
}
