//! The signature of an image, and whether two signatures are of the same image. The measurements are in
//! `zarf/adr/0017-copies-of-an-image.md`.

mod compare;
mod grid;

use crate::domain::{SIGNATURE_SIDE, Signature};
use crate::imaging::PreparedImage;

pub use compare::is_copy;

/// A cell is compared with the mean of the square that reaches this many cells to each side.
const RADIUS: usize = 3;
/// The cells that differ least do not stand out. Their number is fixed, so that a frame with much contrast does not hide the
/// rest of the image.
const HIDDEN_CELLS: usize = SIGNATURE_SIDE * SIGNATURE_SIDE * 2 / 5;
/// A cell also has to differ by this much, of 255: smaller differences are noise of the compression.
const MIN_DIFFERENCE: f32 = 1.0;
/// Images with fewer cells that stand out have no signature: almost every image would be similar to them.
const MIN_CELLS: u32 = 80;

type Cells = [[f32; SIGNATURE_SIDE]; SIGNATURE_SIDE];

/// Returns the signature of an image. Returns `None` if the image shows almost nothing, such as an empty sky.
pub fn signature(image: &PreparedImage) -> Option<Signature> {
    let cells = cell_means(image)?;
    let differences = differences(&cells);
    let mut sizes = differences.as_flattened().to_vec();
    sizes.iter_mut().for_each(|difference| *difference = difference.abs());
    sizes.sort_unstable_by(f32::total_cmp);
    let limit = sizes[HIDDEN_CELLS].max(MIN_DIFFERENCE);
    let bright = rows(&differences, |difference| difference > limit);
    let dark = rows(&differences, |difference| difference < -limit);
    let count: u32 = bright.iter().chain(&dark).map(|row| row.count_ones()).sum();
    (count >= MIN_CELLS).then_some(Signature { bright, dark })
}

/// Returns the mean brightness of each cell; `None` if the pixels do not match the size.
fn cell_means(image: &PreparedImage) -> Option<Cells> {
    let size = image.size as usize;
    let (pixels, _) = image.rgb.as_chunks::<3>();
    if size == 0 || pixels.len() != size * size {
        return None;
    }
    let range = |cell: usize| {
        let from = cell * size / SIGNATURE_SIDE;
        from..((cell + 1) * size / SIGNATURE_SIDE).max(from + 1)
    };
    let mut sums = [[0_usize; SIGNATURE_SIDE]; SIGNATURE_SIDE];
    for (row, sums) in sums.iter_mut().enumerate() {
        for y in range(row) {
            let line = &pixels[y * size..(y + 1) * size];
            for (column, sum) in sums.iter_mut().enumerate() {
                *sum += line[range(column)].iter().map(|pixel| brightness(*pixel)).sum::<usize>();
            }
        }
    }
    Some(std::array::from_fn(|row| {
        std::array::from_fn(|column| number(sums[row][column] / (range(row).len() * range(column).len())) / 1000.0)
    }))
}

/// Returns the brightness of a pixel, 0 to 255,000.
fn brightness([red, green, blue]: [u8; 3]) -> usize {
    299 * usize::from(red) + 587 * usize::from(green) + 114 * usize::from(blue)
}

#[expect(clippy::cast_precision_loss, reason = "at most 255,000")]
fn number(count: usize) -> f32 {
    count as f32
}

/// Returns the difference of each cell from the mean of the cells around it.
fn differences(cells: &Cells) -> Cells {
    let around = |center: usize| center.saturating_sub(RADIUS)..(center + RADIUS + 1).min(SIGNATURE_SIDE);
    std::array::from_fn(|row| {
        std::array::from_fn(|column| {
            let (rows, columns) = (around(row), around(column));
            let count = number(rows.len() * columns.len());
            let sum: f32 = cells[rows].iter().map(|line| line[columns.clone()].iter().sum::<f32>()).sum();
            cells[row][column] - sum / count
        })
    })
}

/// Returns one bit for each cell that `stands_out`.
fn rows(differences: &Cells, stands_out: impl Fn(f32) -> bool) -> [u32; SIGNATURE_SIDE] {
    std::array::from_fn(|row| {
        (0..SIGNATURE_SIDE).fold(0, |bits, column| bits | u32::from(stands_out(differences[row][column])) << column)
    })
}

#[cfg(test)]
mod tests;
