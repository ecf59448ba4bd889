//! The arithmetic of depthwise convolutions.

#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use crate::copy::{COPY, copy_row};
use crate::depthwise::Parameters;
use crate::geometry::{Geometry, Row};
use crate::simd::{Operation, add_product};

/// Registers with sums. With fewer, an addition waits for the one before; with more, they do not fit.
pub(crate) const REGISTERS: usize = 8;

/// Convolves the planes of consecutive channels.
pub(crate) struct Planes<'a> {
    pub(crate) parameters: &'a Parameters,
    pub(crate) geometry: &'a Geometry,
    /// The channel of the first plane.
    pub(crate) first: usize,
    pub(crate) source: &'a [f32],
    pub(crate) target: &'a mut [f32],
    /// Zeros. The values of a channel always have the same places in it.
    pub(crate) plane: &'a mut [f32],
    pub(crate) sums: &'a mut [f32],
}

impl Operation for Planes<'_> {
    #[inline(always)]
    fn run<const LANES: usize, const FUSED: bool>(self) {
        let Parameters { groups, window, weights, bias, clip_input, clip_output } = self.parameters;
        let Geometry { size, out, row, taps, rows, .. } = self.geometry;
        let (input, output, filters) = (size[0] * size[1], out[0] * out[1], bias.len() / groups);
        let Self { plane, sums, .. } = self;
        for at in 0..self.source.len().checked_div(input).unwrap_or(0) {
            let image = &self.source[at * input..];
            for &Row { from, to, count } in rows {
                let (source, target) = (&image[from..], &mut plane[to..]);
                copy_row(source, target, count, window.strides[1], *clip_input);
                // The zeros before the next row. They also replace what `copy` wrote behind the values.
                target[count..count + COPY].copy_from_slice(&[0.0; COPY]);
            }
            for filter in 0..filters {
                let channel = (self.first + at) * filters + filter;
                let weights = &weights[channel * taps.len()..][..taps.len()];
                for (block, sums) in sums.chunks_exact_mut(LANES * REGISTERS).enumerate() {
                    let plane = &plane[block * LANES * REGISTERS..];
                    correlate::<LANES, FUSED>(weights, taps, plane, bias[channel], sums);
                }
                let target = &mut self.target[(at * filters + filter) * output..];
                for y in 0..out[0] {
                    copy_row(&sums[y * row..], &mut target[y * out[1]..], out[1], 1, *clip_output);
                }
            }
        }
    }
}

/// Computes the sums of weights and shifted values. Each sum is a variable of its own, because the compiler keeps no
/// array of arrays in registers.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "registers have no meaning")]
fn correlate<const LANES: usize, const FUSED: bool>(
    weights: &[f32],
    taps: &[usize],
    plane: &[f32],
    bias: f32,
    sums: &mut [f32],
) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = [[bias; LANES]; REGISTERS];
    for at in 0..taps.len() {
        let weight = weights[at];
        let values = &plane[taps[at]..][..LANES * REGISTERS];
        let Some(values) = values.as_chunks::<LANES>().0.first_chunk::<REGISTERS>() else { continue };
        a = add_product::<LANES, FUSED>(a, &values[0], weight);
        b = add_product::<LANES, FUSED>(b, &values[1], weight);
        c = add_product::<LANES, FUSED>(c, &values[2], weight);
        d = add_product::<LANES, FUSED>(d, &values[3], weight);
        e = add_product::<LANES, FUSED>(e, &values[4], weight);
        f = add_product::<LANES, FUSED>(f, &values[5], weight);
        g = add_product::<LANES, FUSED>(g, &values[6], weight);
        h = add_product::<LANES, FUSED>(h, &values[7], weight);
    }
    sums.copy_from_slice([a, b, c, d, e, f, g, h].as_flattened());
}
