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
    for difference in &mut sizes {
        *difference = difference.abs();
    }
    let (_, &mut limit, _) = sizes.select_nth_unstable_by(HIDDEN_CELLS, f32::total_cmp);
    let limit = limit.max(MIN_DIFFERENCE);
    let bright = rows(&differences, |difference| difference > limit);
    let dark = rows(&differences, |difference| difference < -limit);
    let count: u32 = bright.iter().chain(&dark).map(|row| row.count_ones()).sum();
    (count >= MIN_CELLS).then_some(Signature { bright, dark })
}

/// Returns the mean brightness of each cell; `None` if the pixels do not match the size.
fn cell_means(image: &PreparedImage) -> Option<Cells> {
    let size = image.size as usize;
    if size == 0 || image.rgb.len() != size * size * 3 {
        return None;
    }
    let range = |cell: usize| {
        let from = cell * size / SIGNATURE_SIDE;
        from..((cell + 1) * size / SIGNATURE_SIDE).max(from + 1)
    };
    let mut cells = Cells::default();
    // The sum of each sample over the lines of a row of cells. Whole lines are added, which the compiler does for
    // several samples at once.
    let mut sums = vec![0_u32; size * 3];
    for (row, cells) in cells.iter_mut().enumerate() {
        sums.fill(0);
        for y in range(row) {
            add(&mut sums, &image.rgb[y * size * 3..(y + 1) * size * 3]);
        }
        let (pixels, _) = sums.as_chunks::<3>();
        for (column, cell) in cells.iter_mut().enumerate() {
            let mut sum = 0;
            for &pixel in &pixels[range(column)] {
                sum += brightness(pixel);
            }
            *cell = number(sum / (range(row).len() * range(column).len())) / 1000.0;
        }
    }
    Some(cells)
}

/// Adds each sample of a line to its sum.
fn add(sums: &mut [u32], line: &[u8]) {
    let line = &line[..sums.len()];
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum += u32::from(line[at]);
    }
}

/// Returns the brightness of a pixel or of a sum of pixels, in 1/1000 of a sample.
fn brightness([red, green, blue]: [u32; 3]) -> usize {
    299 * red as usize + 587 * green as usize + 114 * blue as usize
}

#[expect(clippy::cast_precision_loss, reason = "at most 255,000")]
fn number(count: usize) -> f32 {
    count as f32
}

/// Returns the difference of each cell from the mean of the cells around it.
fn differences(cells: &Cells) -> Cells {
    let around = |center: usize| center.saturating_sub(RADIUS)..(center + RADIUS + 1).min(SIGNATURE_SIDE);
    // The sum of the cells beside each cell, of its own row. Cells above each other share it.
    let mut beside = Cells::default();
    for (row, line) in cells.iter().enumerate() {
        for column in 0..SIGNATURE_SIDE {
            for cell in &line[around(column)] {
                beside[row][column] += cell;
            }
        }
    }
    let mut differences = Cells::default();
    for row in 0..SIGNATURE_SIDE {
        for column in 0..SIGNATURE_SIDE {
            let mut sum = 0.0;
            for beside in &beside[around(row)] {
                sum += beside[column];
            }
            let count = number(around(row).len() * around(column).len());
            differences[row][column] = cells[row][column] - sum / count;
        }
    }
    differences
}

/// Returns one bit for each cell that `stands_out`.
fn rows(differences: &Cells, stands_out: impl Fn(f32) -> bool) -> [u32; SIGNATURE_SIDE] {
    std::array::from_fn(|row| {
        (0..SIGNATURE_SIDE).fold(0, |bits, column| bits | u32::from(stands_out(differences[row][column])) << column)
    })
}

#[cfg(test)]
mod tests;
