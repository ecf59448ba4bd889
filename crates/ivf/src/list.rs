//! A list of similar vectors.

use std::sync::Arc;

use crate::block::{Codes, PACKED_HEAD, packed_head};
use crate::code::NUMBER_DEVIATION;
use crate::kernel::dot;

/// The codes of the vectors that are nearest to a centroid.
#[derive(Clone, Debug)]
pub(crate) struct List {
    /// Identifies the list. The number is never used for another one.
    pub(crate) number: u32,
    pub(crate) centroid: Arc<[f32]>,
    /// Half of the squared length of the centroid.
    pub(crate) half_square: f32,
    pub(crate) codes: Codes,
    /// The sum of the squared scales of the vectors that were added, and their number.
    squares: f64,
    added: u32,
}

impl List {
    pub(crate) fn new(number: u32, centroid: Vec<f32>) -> Self {
        let half_square = dot(&centroid, &centroid) / 2.0;
        let codes = Codes::new(centroid.len());
        Self { number, centroid: centroid.into(), half_square, codes, squares: 0.0, added: 0 }
    }

    pub(crate) fn push(&mut self, slot: u32, scale: f32, row: &[u8]) {
        self.codes.set(self.codes.count(), slot, scale, row);
        self.squares += f64::from(scale).powi(2);
        self.added = self.added.saturating_add(1);
    }

    /// Appends packed codes; see [`Codes::append`].
    pub(crate) fn append(&mut self, codes: &[u8]) {
        for code in codes.chunks_exact(PACKED_HEAD + self.centroid.len() / 4) {
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
        let length = self.centroid.len() as f32;
        scale * NUMBER_DEVIATION * length.sqrt()
    }

    /// Returns a number that is greater the nearer the vector is to the centroid.
    pub(crate) fn closeness(&self, vector: &[f32]) -> f32 {
        dot(vector, &self.centroid) - self.half_square
    }
}
