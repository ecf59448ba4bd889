//! Memory that convolutions use one after the other.

use crate::Simd;
use crate::panel::ROWS;

/// Memory that convolutions use one after the other, and the instruction set of their kernels.
#[derive(Debug)]
pub struct Workspace {
    pub(crate) simd: Simd,
    pub(crate) packed: Packed,
    /// Input values of dense convolutions, repeated for each weight.
    pub(crate) unfolded: Vec<f32>,
    /// Output values of a panel.
    pub(crate) panel: Vec<f32>,
    /// A channel with zeros around it.
    pub(crate) plane: Vec<f32>,
    pub(crate) sums: Vec<f32>,
    /// Memory for results, given back by `recycle`.
    free: Vec<Vec<f32>>,
}

/// Maximum number of free memory blocks for results: a network has few values that are needed at the same time.
const MAX_FREE: usize = 8;

/// The input values of a matrix product.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) tiles: Vec<f32>,
    /// Number of pixels in tiles.
    pub(crate) tiled: usize,
    /// The other pixels. Each value is repeated for the rows of a panel.
    pub(crate) columns: Vec<Vec<[f32; ROWS]>>,
}

impl Workspace {
    /// Allocates nothing; its memory grows with the first convolutions.
    #[must_use]
    pub fn new(simd: Simd) -> Self {
        let [unfolded, panel, plane, sums] = [const { Vec::new() }; 4];
        Self { simd, packed: Packed::default(), unfolded, panel, plane, sums, free: Vec::new() }
    }

    /// Keeps the memory of a value that is not needed any more for later results: new memory costs a page fault for
    /// each page.
    pub fn recycle(&mut self, values: Vec<f32>) {
        if self.free.len() < MAX_FREE {
            self.free.push(values);
        }
    }

    /// Returns `length` values, whatever they are, in the smallest free memory block that has them.
    pub(crate) fn result(&mut self, length: usize) -> Vec<f32> {
        let fits = self.free.iter().enumerate().filter(|(_, values)| values.len() >= length);
        let Some((at, _)) = fits.min_by_key(|(_, values)| values.len()) else { return vec![0.0; length] };
        let mut values = self.free.swap_remove(at);
        values.truncate(length);
        values
    }
}

/// Returns `length` values, whatever they are.
pub(crate) fn reserved(values: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if values.len() < length {
        values.resize(length, 0.0);
    }
    &mut values[..length]
}
