//! The arithmetic. The same loops are compiled for several instruction sets; the compiler vectorises them.

#![expect(unsafe_code, reason = "ADR 0019: the compiler cannot check the features of the CPU")]

use crate::geometry::{COPY, Geometry, Row};
use crate::{Clip, Parameters};

/// Registers with sums. With fewer, an addition waits for the one before; with more, they do not fit.
const REGISTERS: usize = 8;

/// An instruction set of this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every CPU of the architecture has: SSE2 or NEON.
    Baseline,
}

impl Simd {
    /// Returns all sets that this CPU has, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let sets = {
            let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = fma && is_x86_feature_detected!("avx512f");
            [avx512.then_some(Set::Avx512), fma.then_some(Set::Avx2), Some(Set::Baseline)]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let sets = [Some(Set::Baseline)];
        sets.into_iter().flatten().map(Self)
    }

    /// Returns the fastest set that this CPU has.
    #[must_use]
    pub fn fastest() -> Self {
        Self::available().next().unwrap_or(Self(Set::Baseline))
    }

    /// Returns the number of sums that are computed at once.
    pub(crate) fn block(self) -> usize {
        REGISTERS
            * match self.0 {
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => 16,
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => 8,
                Set::Baseline => 4,
            }
    }
}

/// Replaces the first values by the convolutions of the planes that begin at `start`.
pub(crate) fn convolve(parameters: &Parameters, geometry: &Geometry, values: &mut [f32], start: usize, simd: Simd) {
    let convolution = Convolution { parameters, geometry, values, start };
    match simd.0 {
        // SAFETY: a `Simd` is only made of sets that the CPU has.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512(convolution) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2(convolution) },
        // On x86-64, a fused multiply-add without its instruction is a slow function.
        Set::Baseline => convolution.run::<4, { cfg!(target_arch = "aarch64") }>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn avx512(convolution: Convolution<'_>) {
    convolution.run::<16, true>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(convolution: Convolution<'_>) {
    convolution.run::<8, true>();
}

struct Convolution<'a> {
    parameters: &'a Parameters,
    geometry: &'a Geometry,
    values: &'a mut [f32],
    start: usize,
}

impl Convolution<'_> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]
    fn run<const LANES: usize, const FUSED: bool>(self) {
        let Parameters { groups, strides, weights, bias, clip_input, clip_output, .. } = self.parameters;
        let Geometry { size, out, row, taps, rows, .. } = self.geometry;
        let (input, output, filters) = (size[0] * size[1], out[0] * out[1], bias.len() / groups);
        let mut plane = vec![0.0; self.geometry.plane];
        let mut sums = vec![0.0; self.geometry.sums];
        let planes = (self.values.len() - self.start).checked_div(input).unwrap_or(0);
        for at in 0..planes {
            let image = &self.values[self.start + at * input..];
            for &Row { from, to, count } in rows {
                let (source, target) = (&image[from..], &mut plane[to..]);
                match strides[1] {
                    1 => copy::<1>(source, target, count, *clip_input),
                    2 => copy::<2>(source, target, count, *clip_input),
                    3 => copy::<3>(source, target, count, *clip_input),
                    _ => copy::<4>(source, target, count, *clip_input),
                }
                // The zeros before the next row. They also replace what `copy` wrote behind the values.
                target[count..count + COPY].copy_from_slice(&[0.0; COPY]);
            }
            for filter in 0..filters {
                let channel = at % groups * filters + filter;
                let weights = &weights[channel * taps.len()..][..taps.len()];
                for (block, sums) in sums.chunks_exact_mut(LANES * REGISTERS).enumerate() {
                    let plane = &plane[block * LANES * REGISTERS..];
                    correlate::<LANES, FUSED>(weights, taps, plane, bias[channel], sums);
                }
                let image = &mut self.values[(at * filters + filter) * output..][..output];
                for y in 0..out[0] {
                    copy::<1>(&sums[y * row..], &mut image[y * out[1]..], out[1], *clip_output);
                }
            }
        }
    }
}

/// Copies every `STEP`th value. Copies further values behind them if there is space, because whole registers are fast.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn copy<const STEP: usize>(source: &[f32], target: &mut [f32], count: usize, clip: Clip) {
    let wide = count.next_multiple_of(COPY);
    let (groups, rest) = source.as_chunks::<STEP>();
    let count = if groups.len() >= wide && target.len() >= wide { wide } else { count };
    let whole = groups.len().min(count);
    let target = &mut target[..count];
    for at in 0..whole {
        target[at] = limit(groups[at][0], clip);
    }
    if whole < count {
        target[whole] = limit(rest[0], clip);
    }
}

/// Not `f32::clamp`, which the compiler does not vectorise as well.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn limit(value: f32, clip: Clip) -> f32 {
    let value = if value < clip.min { clip.min } else { value };
    if value > clip.max { clip.max } else { value }
}

/// Computes the sums of weights and shifted values. Each sum is a variable of its own, because the compiler keeps no
/// array of arrays in registers.
#[inline(always)]
#[expect(clippy::inline_always, clippy::many_single_char_names, reason = "as above; registers have no meaning")]
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

#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
fn add_product<const LANES: usize, const FUSED: bool>(
    mut sums: [f32; LANES],
    values: &[f32; LANES],
    weight: f32,
) -> [f32; LANES] {
    for at in 0..LANES {
        sums[at] = if FUSED { values[at].mul_add(weight, sums[at]) } else { sums[at] + values[at] * weight };
    }
    sums
}
