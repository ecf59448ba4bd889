//! The arithmetic of depthwise convolutions.

#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use crate::copy::copy_row;
use crate::depthwise::Parameters;
use crate::geometry::{Geometry, Row};
use crate::simd::{Operation, Register};

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
    fn run<R: Register>(self) {
        let Parameters { groups, window, weights, bias, clip_input, clip_output } = self.parameters;
        let Geometry { size, out, row, taps, rows, .. } = self.geometry;
        let (input, output, filters) = (size[0] * size[1], out[0] * out[1], bias.len() / groups);
        let Self { plane, sums, .. } = self;
        for at in 0..self.source.len().checked_div(input).unwrap_or(0) {
            let image = &self.source[at * input..];
            for &Row { from, to, count } in rows {
                copy_row::<R>(&image[from..], &mut plane[to..], count, window.strides[1], *clip_input);
            }
            for filter in 0..filters {
                let channel = (self.first + at) * filters + filter;
                let weights = &weights[channel * taps.len()..][..taps.len()];
                let kernel = Kernel { weights, taps, plane, bias: bias[channel] };
                let mut done = 0;
                while done < sums.len() {
                    let sums = &mut sums[done..];
                    done += R::LANES
                        * match sums.len() / R::LANES {
                            8.. => kernel.correlate::<R, 8>(sums, done),
                            4.. => kernel.correlate::<R, 4>(sums, done),
                            2.. => kernel.correlate::<R, 2>(sums, done),
                            _ => kernel.correlate::<R, 1>(sums, done),
                        };
                }
                let target = &mut self.target[(at * filters + filter) * output..];
                for y in 0..out[0] {
                    copy_row::<R>(&sums[y * row..], &mut target[y * out[1]..], out[1], 1, *clip_output);
                }
            }
        }
    }
}

/// A filter over a plane.
struct Kernel<'a> {
    weights: &'a [f32],
    taps: &'a [usize],
    plane: &'a [f32],
    bias: f32,
}

impl Kernel<'_> {
    /// Computes some sums of weights and shifted values, from the one at `first`. Returns the number of registers. With fewer than
    /// eight, an addition waits for the one before; with more, they do not fit.
    #[inline(always)]
    fn correlate<R: Register, const REGISTERS: usize>(&self, target: &mut [f32], first: usize) -> usize {
        let mut sums = [R::splat(self.bias); REGISTERS];
        for (&tap, &weight) in self.taps.iter().zip(self.weights) {
            let weight = R::splat(weight);
            let values = &self.plane[tap + first..][..R::LANES * REGISTERS];
            for register in 0..REGISTERS {
                sums[register] = sums[register].add_product(R::load(&values[register * R::LANES..]), weight);
            }
        }
        let target = &mut target[..R::LANES * REGISTERS];
        for register in 0..REGISTERS {
            sums[register].store(&mut target[register * R::LANES..]);
        }
        REGISTERS
    }
}
