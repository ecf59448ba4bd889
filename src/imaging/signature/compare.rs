//! Compares two signatures: one is laid over the other at every size and place that a crop can have, as it is and
//! mirrored, until the cells agree best.

use super::grid::{Grid, Overlap};
use crate::domain::{SIGNATURE_SIDE as SIDE, Signature};

/// The minimum correlation of the signatures of two copies. Different images rarely reach 0.45.
const MIN_CORRELATION: f32 = 0.5;
/// Places with less than this correlation are not the beginning of a search.
const MIN_ROUGH_CORRELATION: f32 = 0.2;
/// The smallest size at which a signature is laid over the other: a crop keeps 80 % of each side.
const MIN_SIZE: usize = SIDE * 4 / 5;
/// A part may lie outside the whole with one in this many of its cells, because the input of the model is a centred square,
/// and a crop moves the centre.
const MAX_OUTSIDE: usize = 5;
/// The distance of the sizes and places that are tried first, in cells.
const ROUGH_STEP: usize = 2;
/// The minimum correlation of the middle half. If two different images have the same frame, only the frame correlates.
const MIN_MIDDLE_CORRELATION: f32 = 0.45;
/// The common part is divided into this many blocks per side. In another image of the same scene, some blocks
/// differ although the whole correlates.
const BLOCKS: usize = 4;
/// Blocks with less than this correlation differ.
const MIN_BLOCK_CORRELATION: f32 = 0.2;
/// A text or a logo that was added covers at most this many blocks.
const MAX_DIFFERENT_BLOCKS: usize = 2;

/// Whether one image is a copy of the other that was resized, recompressed, mirrored, or cropped by at most
/// 20 % of each side. Two images of the same scene are not copies.
pub fn is_copy(a: &Signature, b: &Signature) -> bool {
    let (a, b) = (Grid::new(a), Grid::new(b));
    let mirrored = b.mirrored();
    [(&a, &b), (&b, &a), (&a, &mirrored), (&mirrored, &a)].into_iter().any(|(whole, part)| {
        best_fit(whole, part).is_some_and(|fit| {
            fit.correlation >= MIN_CORRELATION && agree_everywhere(whole, &part.shrunk(fit.size), fit.x, fit.y)
        })
    })
}

/// A size of a part, and the place of its left upper corner on the whole.
#[derive(Clone, Copy)]
struct Fit {
    correlation: f32,
    size: usize,
    x: i32,
    y: i32,
}

/// Returns where a part of `whole` looks most like `part`; `None` if nothing is similar. Tries a coarse grid of
/// sizes and places first, and then the neighbours of the best one.
fn best_fit(whole: &Grid, part: &Grid) -> Option<Fit> {
    let mut best: Option<Fit> = None;
    for size in (MIN_SIZE..=SIDE).rev().step_by(ROUGH_STEP) {
        let offsets = || offsets(size).step_by(ROUGH_STEP);
        best = better(best, whole, &part.shrunk(size), offsets().flat_map(|y| offsets().map(move |x| (x, y))));
    }
    let mut fit = best.filter(|fit| fit.correlation >= MIN_ROUGH_CORRELATION)?;
    loop {
        let mut next = Some(fit);
        for size in (fit.size - 1).max(MIN_SIZE)..=(fit.size + 1).min(SIDE) {
            let around = (-1..=1).flat_map(|down| (-1..=1).map(move |right| (fit.x + right, fit.y + down)));
            next = better(next, whole, &part.shrunk(size), around);
        }
        match next {
            Some(next) if next.correlation > fit.correlation => fit = next,
            _ => return Some(fit),
        }
    }
}

/// Returns the better one of `best` and the best of these places of `part`.
fn better(best: Option<Fit>, whole: &Grid, part: &Grid, places: impl IntoIterator<Item = (i32, i32)>) -> Option<Fit> {
    let size = part.size();
    places.into_iter().fold(best, |best, (x, y)| {
        let (columns, rows) = (Overlap::new(x, size), Overlap::new(y, size));
        let outside = size * size - columns.length * rows.length;
        let correlation =
            if outside * MAX_OUTSIDE <= size * size { whole.correlation(part, columns, rows) } else { None };
        match correlation {
            Some(correlation) if best.is_none_or(|best| correlation > best.correlation) => {
                Some(Fit { correlation, size, x, y })
            }
            _ => best,
        }
    })
}

/// Returns the possible first columns or rows of a part of this size. 0 is one of every [`ROUGH_STEP`].
fn offsets(size: usize) -> std::ops::RangeInclusive<i32> {
    let outside = size / MAX_OUTSIDE / ROUGH_STEP * ROUGH_STEP;
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    -number(outside)..=number(SIDE - size + outside)
}

/// Whether the common part agrees in its middle and in nearly every block.
fn agree_everywhere(whole: &Grid, part: &Grid, x: i32, y: i32) -> bool {
    let (columns, rows) = (Overlap::new(x, part.size()), Overlap::new(y, part.size()));
    let blocks = (0..BLOCKS).flat_map(|row| (0..BLOCKS).map(move |column| (row, column)));
    let different = blocks.filter(|(row, column)| {
        let correlation = whole.correlation(part, columns.split(*column, BLOCKS), rows.split(*row, BLOCKS));
        correlation.is_some_and(|correlation| correlation < MIN_BLOCK_CORRELATION)
    });
    let middle = whole.correlation(part, columns.middle(), rows.middle());
    middle.is_none_or(|correlation| correlation >= MIN_MIDDLE_CORRELATION) && different.count() <= MAX_DIFFERENT_BLOCKS
}
