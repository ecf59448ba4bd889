//! Reduces a tile before its samples become RGB. The conversion is linear, so the RGB of a mean is the mean of the RGB, except
//! where values are cut off at black or white; and it is the more expensive part.

use std::ops::Range;

use heifer::color::ColorParams;
use heifer::heifer_hevc_dec::recon::Frame;

use super::tiles::each_rgba_row;
use crate::imaging::canvas::Canvas;
use crate::imaging::heif::item::Item;

/// Bits of the means: more than the samples have, so that rounding does not matter, and few enough for the arithmetic of `heifer`.
const DEPTH: u8 = 14;
/// The largest mean.
const MAX: u32 = (1 << DEPTH) - 1;

/// Whether [`put`] can reduce this frame: it has luma and chroma.
pub(super) fn can_reduce(frame: &Frame, params: ColorParams) -> bool {
    params.matrix != 0 && frame.widths[1] > 0 && frame.bit_depth.iter().all(|depth| (8..=DEPTH).contains(depth))
}

/// Adds a tile at this place to a canvas that keeps the means of `times` x `times` pixels.
pub(super) fn put(
    canvas: &mut Canvas,
    item: &Item,
    place: (usize, usize),
    times: usize,
    frame: &Frame,
    params: ColorParams,
) {
    let (crop, tile) = (item.placement.crop, item.tile);
    let columns = parts(place.0, tile.0 as usize, (crop.left as usize, crop.width as usize), times);
    let rows = parts(place.1, tile.1 as usize, (crop.top as usize, crop.height as usize), times);
    if columns.is_empty() || rows.is_empty() {
        return;
    }
    let means = means(frame, params.full_range, item.tile.0 as usize, &columns, &rows);
    let size = (means.widths[0], means.heights[0]);
    each_rgba_row::<u16>(&means, params, size, |y, rgba| {
        let row = &rows[y];
        for (column, &[red, green, blue, _]) in columns.iter().zip(rgba.as_chunks::<4>().0) {
            let count = column.pixels.len() * row.pixels.len();
            let sums = [red, green, blue].map(|mean| {
                let sum = u64::from(mean) * 255 * count as u64;
                u32::try_from((sum + u64::from(MAX / 2)) / u64::from(MAX)).unwrap_or(u32::MAX)
            });
            canvas.add(column.square, row.square, sums);
        }
    });
}

/// The pixels of a tile in one direction that belong to the same square of the canvas.
struct Part {
    /// The number of the square.
    square: usize,
    /// The pixels, counted from the beginning of the tile.
    pixels: Range<usize>,
}

/// Divides the pixels of a tile in one direction. Pixels outside of the crop are in no part.
fn parts(from: usize, length: usize, (crop_from, crop_length): (usize, usize), times: usize) -> Vec<Part> {
    let end = (from + length).min(crop_from + crop_length);
    let mut at = from.max(crop_from);
    let mut parts = Vec::new();
    while at < end {
        let square = (at - crop_from) / times;
        let next = end.min(crop_from + (square + 1) * times);
        parts.push(Part { square, pixels: at - from..next - from });
        at = next;
    }
    parts
}

/// Returns a frame without subsampling that has one sample for each part.
fn means(frame: &Frame, full_range: bool, width: usize, columns: &[Part], rows: &[Part]) -> Frame {
    let [luma_depth, chroma_depth] = frame.bit_depth;
    // In the full range, the largest sample is white, and not the power of two behind it.
    let scale = |depth: u8| {
        if full_range { f64::from(MAX) / f64::from((1_u32 << depth) - 1) } else { f64::from(1_u32 << (DEPTH - depth)) }
    };
    let middle = f64::from(1_u32 << (DEPTH - 1)) - f64::from(1_u32 << (chroma_depth - 1)) * scale(chroma_depth);
    let mut chroma = [1, 2].map(|plane| ChromaRows::new(frame, plane, width, columns));
    let mut planes = [const { Vec::new() }; 3];
    for row in rows {
        let mut sums = [const { Vec::new() }; 3].map(|_: Vec<u32>| vec![0_u32; columns.len()]);
        for y in row.pixels.clone() {
            let from = y * frame.widths[0] as usize;
            let samples = frame.planes[0].get(from..).unwrap_or_default();
            add_parts(samples, columns, &mut sums[0]);
            for (rows, sums) in chroma.iter_mut().zip(&mut sums[1..]) {
                rows.add(y, sums);
            }
        }
        for (plane, sums) in sums.iter().enumerate() {
            let (factor, offset, weight) = match plane {
                0 => (scale(luma_depth), 0.0, 1),
                plane => (scale(chroma_depth), middle, chroma[plane - 1].weight()),
            };
            planes[plane].extend(columns.iter().zip(sums).map(|(column, &sum)| {
                let count = column.pixels.len() * row.pixels.len() * weight;
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                to_sample(f64::from(sum) / f64::from(count) * factor + offset)
            }));
        }
    }
    let [width, height] = [columns.len(), rows.len()].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    Frame { widths: [width; 3], heights: [height; 3], planes, bit_depth: [DEPTH; 2], chroma_format: 3, ..*frame }
}

fn to_sample(mean: f64) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0 and at most MAX")]
    let sample = mean.round().clamp(0.0, f64::from(MAX)) as u16;
    sample
}

/// Adds the samples of each part to its sum.
fn add_parts(samples: &[u16], columns: &[Part], sums: &mut [u32]) {
    for (sum, column) in sums.iter_mut().zip(columns) {
        let samples = samples.get(column.pixels.clone()).unwrap_or_default();
        *sum += samples.iter().map(|&sample| u32::from(sample)).sum::<u32>();
    }
}

/// The rows of a plane of chroma, at the width of luma. As `heifer` does, samples are on even columns and rows, and those between
/// are the means of their neighbours. Sums are doubled in each direction in which the plane is subsampled.
struct ChromaRows<'a> {
    samples: &'a [u16],
    /// Samples of a row of the plane, and those that count.
    stride: usize,
    columns: usize,
    /// Whether the plane is subsampled, across and down.
    is_half: [bool; 2],
    last_row: usize,
    parts: &'a [Part],
    /// A row at the width of luma.
    wide: Vec<u16>,
    /// The sums of two rows, each with its number.
    sums: [(usize, Vec<u32>); 2],
}

impl<'a> ChromaRows<'a> {
    fn new(frame: &'a Frame, plane: usize, width: usize, parts: &'a [Part]) -> Self {
        let (stride, height) = (frame.widths[plane] as usize, frame.heights[plane] as usize);
        let is_half = [frame.widths[0] > frame.widths[plane], frame.heights[0] > frame.heights[plane]];
        let columns = if is_half[0] { width.div_ceil(2) } else { width }.clamp(1, stride);
        let sums = [0, 1].map(|_| (usize::MAX, vec![0; parts.len()]));
        let samples = &frame.planes[plane];
        Self { samples, stride, columns, is_half, last_row: height - 1, parts, wide: Vec::new(), sums }
    }

    /// Returns by how much the sums are multiplied.
    fn weight(&self) -> usize {
        self.is_half.iter().map(|is_half| 1 << usize::from(*is_half)).product()
    }

    /// Adds the row of chroma that belongs to the row `y` of luma.
    fn add(&mut self, y: usize, sums: &mut [u32]) {
        let (row, next) = if self.is_half[1] { (y / 2, Some(y / 2 + y % 2)) } else { (y, None) };
        for row in [Some(row), next].into_iter().flatten() {
            let row = row.min(self.last_row);
            self.load(row);
            for (sum, part) in sums.iter_mut().zip(&self.sums[row % 2].1) {
                *sum += part;
            }
        }
    }

    /// Computes the sums of a row, unless they are known.
    fn load(&mut self, row: usize) {
        let (number, sums) = &mut self.sums[row % 2];
        if *number == row {
            return;
        }
        *number = row;
        sums.fill(0);
        let samples = self.samples.get(row * self.stride..).unwrap_or_default();
        let samples = samples.get(..self.columns).unwrap_or_default();
        if !self.is_half[0] {
            add_parts(samples, self.parts, sums);
            return;
        }
        self.wide.clear();
        let next = samples.iter().skip(1).chain(samples.last());
        self.wide.extend(samples.iter().zip(next).flat_map(|(&sample, &next)| [2 * sample, sample + next]));
        add_parts(&self.wide, self.parts, sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::heic;

    /// The means of the samples become the means of the pixels, but for rounding and values that are cut off.
    #[test]
    fn the_means_are_those_of_the_decoded_pixels() {
        for file in std::fs::read_dir("tests/data/formats").unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "heic") {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let Ok(whole) = heic::decode(&bytes) else { continue };
            for times in [2_u32, 3, 4, 5, 16] {
                let mut canvas = Canvas::new(whole.dimensions(), times);
                for (y, row) in whole.rows().enumerate() {
                    canvas.put(0, y, &row.flat_map(|pixel| pixel.0).collect::<Vec<u8>>());
                }
                let (expected, reduced) =
                    (canvas.finish_reduced().unwrap(), heic::decode_reduced(&bytes, times).unwrap());
                let samples = |image: &crate::imaging::reduced::Reduced| {
                    image.pixels().iter().flat_map(|pixel| pixel.0).map(f64::from).collect::<Vec<f64>>()
                };
                let (expected, reduced) = (samples(&expected), samples(&reduced));
                assert_eq!(expected.len(), reduced.len());
                let differences: Vec<f64> =
                    expected.iter().zip(&reduced).map(|(one, other)| (one - other) / 256.0).collect();
                let count = f64::from(u32::try_from(differences.len()).unwrap());
                let mean = differences.iter().sum::<f64>() / count;
                // Where some of the pixels are cut off at black or white.
                let share =
                    differences.iter().map(|difference| f64::from(u8::from(difference.abs() > 1.0))).sum::<f64>()
                        / count;
                assert!(mean.abs() < 0.1 && share < 0.05, "{} {times}: {mean:.3} {share:.3}", path.display());
            }
        }
    }
}
