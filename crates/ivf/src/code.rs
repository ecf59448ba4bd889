//! Codes of vectors, and queries that are compared with codes.
//!
//! A number `x` of a rotated difference `r` has the code `c = floor(x / step + 2)`, limited to 0 to 3, which stands for
//! `u = c - 1.5`. The step is the one with the least error for normally distributed numbers. The product of a query `q` and
//! `r` is estimated as `(q · u) |r|² / (r · u)`, which has no bias for a random rotation (RaBitQ: Gao and Long, 2024).

#![expect(unsafe_code, reason = "the compiler cannot check the features of the CPU")]

use std::borrow::Cow;

use crate::block::STEP;
use crate::rotation::Rotation;

/// The step that quantises normally distributed numbers with the least error, as a multiple of their deviation.
const BEST_STEP: f32 = 0.9957;
/// The greatest code.
const MAX_CODE: f32 = 3.0;
/// The mean of the least and the greatest code.
const MIDDLE: f32 = 1.5;
/// The deviation of an estimate for a query of length 1, as a multiple of the scale of a code. Two bits leave 11.9 % of the
/// squares of normally distributed numbers, so this is `sqrt(0.119 * 0.881) / 0.9957`.
pub(crate) const ESTIMATE_DEVIATION: f32 = 0.325;
/// The same, squared, as a share of the mean square of the numbers of `r`: `0.119 / 0.881`.
pub(crate) const ESTIMATE_VARIANCE: f32 = 0.135;

/// The deviation of the numbers of `r`, as a multiple of the scale of its code: `0.881 / 0.9957`.
pub(crate) const NUMBER_DEVIATION: f32 = 0.885;

/// The code of a vector in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The position of the list.
    pub(crate) list: usize,
    /// The number of the list, which is never used again.
    pub(crate) number: u32,
    pub(crate) scale: f32,
    pub(crate) row: Vec<u8>,
}

/// What is stored with a code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredHead {
    /// The number of its list.
    pub list: u32,
    /// The scale of its estimates.
    pub scale: f32,
}

/// A code as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCode<'a> {
    /// The number of its list.
    pub list: u32,
    /// The scale of its estimates.
    pub scale: f32,
    /// Two bits for each number of the vector.
    pub row: Cow<'a, [u8]>,
}

/// Returns the scale and the code of a vector relative to a centroid; both are rotated.
pub(crate) fn encode(vector: &[f32], centroid: &[f32]) -> (f32, Vec<u8>) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has the feature, as checked one line above.
        return unsafe { encode_avx2(vector, centroid) };
    }
    encode_lanes(vector, centroid)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn encode_avx2(vector: &[f32], centroid: &[f32]) -> (f32, Vec<u8>) {
    encode_lanes(vector, centroid)
}

/// Always inlined, so that it is compiled with the CPU features of its caller.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a function that is called has the features of the baseline")]
fn encode_lanes(vector: &[f32], centroid: &[f32]) -> (f32, Vec<u8>) {
    let (vector, centroid) = (vector.as_chunks::<STEP>().0, centroid.as_chunks::<STEP>().0);
    let (mut squares, mut products) = ([0.0_f32; STEP], [0.0_f32; STEP]);
    for (a, b) in vector.iter().zip(centroid) {
        for lane in 0..STEP {
            squares[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
        }
    }
    let square: f32 = squares.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
    let deviation = (square / (vector.len() * STEP) as f32).sqrt();
    let per_step = if deviation > 0.0 { 1.0 / (BEST_STEP * deviation) } else { 0.0 };
    let mut row = vec![0; vector.len() * STEP / 4];
    for ((a, b), bytes) in vector.iter().zip(centroid).zip(row.as_chunks_mut::<4>().0) {
        let mut codes = [0_u8; STEP];
        for lane in 0..STEP {
            let number = a[lane] - b[lane];
            let code = (number * per_step + 2.0).clamp(0.0, MAX_CODE).floor();
            products[lane] += number * (code - MIDDLE);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 3")]
            let code = code as i32 as u8;
            codes[lane] = code;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = codes[at] | codes[4 + at] << 2 | codes[8 + at] << 4 | codes[12 + at] << 6;
        }
    }
    let product: f32 = products.iter().sum();
    (if product > 0.0 { square / product } else { 0.0 }, row)
}

/// A query as whole numbers.
#[derive(Debug)]
pub(crate) struct Query {
    /// The rotated query.
    pub(crate) rotated: Vec<f32>,
    /// The rotated query, four numbers of 8 bits in each word, the first one in the lowest bits. Its sums with codes fit
    /// into 16 bits; see [`Query::new`].
    pub(crate) words: Vec<i32>,
    /// The value of one.
    unit: f32,
    /// The sum of the numbers, times the middle of the codes.
    middle: f32,
}

impl Query {
    pub(crate) fn new(rotation: &Rotation, query: &[f32]) -> Self {
        Self::from_rotated(rotation.rotated(query))
    }

    /// Makes a query from a vector that is rotated already.
    pub(crate) fn from_rotated(rotated: Vec<f32>) -> Self {
        let greatest = rotated.iter().fold(f32::MIN_POSITIVE, |max, x| max.max(x.abs()));
        // A lane of 16 bits adds up the products of half of the numbers: the first or the last two of each four.
        let sums = rotated.as_chunks::<4>().0.iter().fold([f32::MIN_POSITIVE; 2], |[first, last], [a, b, c, d]| {
            [first + a.abs() + b.abs(), last + c.abs() + d.abs()]
        });
        #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
        let rounding = rotated.len() as f32 / 4.0;
        let max_sum = f32::from(i16::MAX) / MAX_CODE - rounding;
        let scale = (f32::from(i8::MAX) / greatest).min(max_sum / sums[0].max(sums[1]));
        #[expect(clippy::cast_possible_truncation, reason = "-127 to 127")]
        let numbers: Vec<i8> = rotated.iter().map(|x| (x * scale).round() as i8).collect();
        let sum: f32 = numbers.iter().map(|x| f32::from(*x)).sum();
        let words = numbers.as_chunks().0.iter().map(|four| i32::from_le_bytes(four.map(i8::cast_unsigned)));
        let words = words.collect();
        Self { rotated, words, unit: 1.0 / scale, middle: MIDDLE * sum }
    }

    /// Returns the length of the vectors that it can be compared with.
    pub(crate) fn length(&self) -> usize {
        self.words.len() * 4
    }

    /// Returns the numbers one by one.
    #[cfg(test)]
    pub(crate) fn numbers(&self) -> Vec<i8> {
        self.words.iter().flat_map(|word| word.to_le_bytes().map(u8::cast_signed)).collect()
    }

    /// Returns the estimated product of the query and a vector, less that of the query and the centroid.
    #[inline]
    pub(crate) fn estimate(&self, sum: i32, scale: f32) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "the sums have at most 24 bits")]
        let sum = sum as f32;
        (sum - self.middle) * (scale * self.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{BLOCK, Codes};
    use crate::kernel::sums;
    use crate::test_table::Random;

    #[test]
    fn estimates_have_the_stated_deviation_and_no_bias() {
        let (mut random, length) = (Random(7), 512);
        let rotation = Rotation::new(length);
        let centroid = random.unit(length);
        let mut codes = Codes::new(length);
        let vectors: Vec<Vec<f32>> = (0..BLOCK).map(|_| random.unit(length)).collect();
        for (at, vector) in vectors.iter().enumerate() {
            let (scale, row) = encode(&rotation.rotated(vector), &rotation.rotated(&centroid));
            codes.set(at, 0, scale, &row);
        }
        let (mut errors, mut bias, mut count) = (0.0_f32, 0.0_f32, 0.0_f32);
        for _ in 0..50 {
            let raw = random.unit(length);
            let query = Query::new(&rotation, &raw);
            let Some((block, _)) = codes.blocks().next() else { panic!("no block") };
            let mut products = [0; BLOCK];
            sums(&block.codes, &query.words, &mut products, None);
            for (at, vector) in vectors.iter().enumerate() {
                let exact: f32 = vector.iter().zip(&centroid).zip(&raw).map(|((v, c), q)| (v - c) * q).sum();
                let error = (query.estimate(products[at], block.scales[at]) - exact) / block.scales[at];
                errors += error * error;
                bias += error;
                count += 1.0;
            }
        }
        let deviation: f32 = (errors / count).sqrt();
        assert!((deviation / ESTIMATE_DEVIATION - 1.0).abs() < 0.1, "{deviation}");
        assert!((bias / count).abs() < 0.1 * deviation);
    }
}
