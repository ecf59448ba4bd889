//! A signature in the form in which it is compared.

use crate::domain::{SIGNATURE_SIDE as SIDE, Signature};

/// The share of the compared cells that must stand out in both signatures. With fewer, chance decides.
const MIN_DETAIL: f32 = 0.12;

/// One bit in each half of a row.
const BOTH_HALVES: u64 = 1 << 32 | 1;

/// A signature, or a smaller version of it. The lower half of each row has the brighter cells, the upper half the darker
/// ones.
#[derive(Clone)]
pub(super) struct Grid {
    size: usize,
    rows: [u64; SIDE],
}

impl Grid {
    pub(super) fn new(signature: &Signature) -> Self {
        let row = |row| join(signature.bright[row], signature.dark[row]);
        Self { size: SIDE, rows: std::array::from_fn(row) }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns the signature of the mirrored image.
    pub(super) fn mirrored(&self) -> Self {
        let mirrored = |half: u32| half.reverse_bits() >> (32 - SIDE);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a row")]
        let rows = self.rows.map(|row| join(mirrored(row as u32), mirrored((row >> 32) as u32)));
        Self { size: self.size, rows }
    }

    /// Leaves out rows and columns at equal distances, until `size` are left.
    pub(super) fn shrunk(&self, size: usize) -> Self {
        let kept = |at: usize| (2 * at + 1) * SIDE / (2 * size);
        let mut rows = [0; SIDE];
        for (at, row) in rows[..size].iter_mut().enumerate() {
            let full = self.rows[kept(at)];
            *row = (0..size).fold(0, |bits, at| bits | (full >> kept(at) & BOTH_HALVES) << at);
        }
        Self { size, rows }
    }

    /// Returns the correlation of the common cells of this grid and `part`: 1 if they are the same, 0 if they are
    /// unrelated; `None` if too few of them stand out.
    pub(super) fn correlation(&self, part: &Self, columns: Overlap, rows: Overlap) -> Option<f32> {
        let kept = ((1 << columns.length) - 1) * BOTH_HALVES;
        let own = &self.rows[rows.whole..rows.whole + rows.length];
        let others = &part.rows[rows.part..rows.part + rows.length];
        let (mut same, mut opposite, mut own_cells, mut other_cells) = (0, 0, 0, 0);
        let count = |cells: u64| cells.count_ones() as usize;
        for (own, other) in own.iter().zip(others) {
            let (own, other) = (own >> columns.whole & kept, other >> columns.part & kept);
            same += count(own & other);
            opposite += count(own & other.rotate_left(32));
            own_cells += count(own);
            other_cells += count(other);
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 1,568")]
        let [same, opposite, own, other, area] =
            [same, opposite, own_cells, other_cells, columns.length * rows.length].map(|count| count as f32);
        (own.min(other) > 0.0 && own.min(other) >= MIN_DETAIL * area).then(|| (same - opposite) / (own * other).sqrt())
    }
}

fn join(bright: u32, dark: u32) -> u64 {
    u64::from(bright) | u64::from(dark) << 32
}

/// The common cells of the whole and of a part, along one axis.
#[derive(Clone, Copy)]
pub(super) struct Overlap {
    /// The first common cell of the whole.
    whole: usize,
    /// The first common cell of the part.
    part: usize,
    pub(super) length: usize,
}

impl Overlap {
    /// A part of `size` cells begins at the cell `offset` of the whole, or before its first cell if it is negative.
    pub(super) fn new(offset: i32, size: usize) -> Self {
        let [whole, part] = [offset, -offset].map(|cells| usize::try_from(cells).unwrap_or(0));
        Self { whole, part, length: SIDE.saturating_sub(whole).min(size.saturating_sub(part)) }
    }

    /// Returns the middle half.
    pub(super) fn middle(self) -> Self {
        let skipped = self.length / 4;
        Self { whole: self.whole + skipped, part: self.part + skipped, length: self.length - 2 * skipped }
    }

    /// Returns one of several pieces of about the same length.
    pub(super) fn split(self, piece: usize, pieces: usize) -> Self {
        let from = self.length * piece / pieces;
        let length = self.length * (piece + 1) / pieces - from;
        Self { whole: self.whole + from, part: self.part + from, length }
    }
}
