//! The arithmetic of dense convolutions.

#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]
#![expect(clippy::needless_range_loop, reason = "iterators are not always inlined here, which costs a factor of 13")]

use crate::Clip;
use crate::simd::{MAX_LANES, Operation, add_product};

/// Output channels of a panel. Two registers of sums for each, two of values and one weight fit into 16 registers.
pub(crate) const ROWS: usize = 6;
/// Sums of a column: three registers, of which the channels of a panel are a divisor.
pub(crate) const COLUMN_LANES: usize = 3 * MAX_LANES;

/// Copies pixels into tiles: for each tile and each input channel, two registers of values. The rest of the last tile
/// is zero.
pub(crate) struct Pack<'a> {
    pub(crate) source: &'a [f32],
    /// Number of values from channel to channel.
    pub(crate) stride: usize,
    pub(crate) inputs: usize,
    pub(crate) pixels: usize,
    pub(crate) tiles: &'a mut [f32],
}

impl Operation for Pack<'_> {
    #[inline(always)]
    fn run<const LANES: usize, const FUSED: bool>(self) {
        let Self { source, stride, inputs, pixels, tiles } = self;
        let tiles = tiles.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0;
        for at in 0..pixels.div_ceil(2 * LANES) {
            let first = at * 2 * LANES;
            let count = (pixels - first).min(2 * LANES);
            let tile = &mut tiles[at * inputs..][..inputs];
            for input in 0..inputs {
                let source = &source[input * stride + first..][..count];
                if let [a, b] = source.as_chunks::<LANES>().0 {
                    tile[input] = [*a, *b];
                } else {
                    tile[input] = [[0.0; LANES]; 2];
                    tile[input].as_flattened_mut()[..count].copy_from_slice(source);
                }
            }
        }
    }
}

/// Multiplies a panel with tiles.
pub(crate) struct Panel<'a> {
    /// For each input channel.
    pub(crate) weights: &'a [[f32; ROWS]],
    pub(crate) bias: &'a [f32; ROWS],
    /// Number of output channels that are written.
    pub(crate) rows: usize,
    pub(crate) tiles: &'a [f32],
    pub(crate) pixels: usize,
    pub(crate) clip: Clip,
    /// Values that are added before the limits are applied, in the order of the target.
    pub(crate) addend: Option<&'a [f32]>,
    pub(crate) target: &'a mut [f32],
    /// Number of values from channel to channel of the target.
    pub(crate) stride: usize,
}

impl Operation for Panel<'_> {
    #[inline(always)]
    fn run<const LANES: usize, const FUSED: bool>(self) {
        let Self { weights, bias, rows, tiles, pixels, clip, addend, target, stride } = self;
        let tiles = tiles.as_chunks::<LANES>().0.as_chunks::<2>().0;
        for at in 0..pixels.div_ceil(2 * LANES) {
            let mut sums = multiply::<LANES, FUSED>(weights, &tiles[at * weights.len()..][..weights.len()], bias);
            let first = at * 2 * LANES;
            let count = (pixels - first).min(2 * LANES);
            for row in 0..rows {
                let place = row * stride + first;
                if let Some(addend) = addend {
                    add(&mut sums[row], &addend[place..][..count]);
                }
                for half in 0..2 {
                    for lane in 0..LANES {
                        sums[row][half][lane] = clip.limit(sums[row][half][lane]);
                    }
                }
                let target = &mut target[place..][..count];
                if let [a, b] = target.as_chunks_mut::<LANES>().0 {
                    [*a, *b] = sums[row];
                } else {
                    target.copy_from_slice(&sums[row].as_flattened()[..count]);
                }
            }
        }
    }
}

#[inline(always)]
fn add<const LANES: usize>(sums: &mut [[f32; LANES]; 2], addend: &[f32]) {
    if let [a, b] = addend.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sums[0][lane] += a[lane];
            sums[1][lane] += b[lane];
        }
    } else {
        for at in 0..addend.len() {
            sums.as_flattened_mut()[at] += addend[at];
        }
    }
}

/// Returns the products of a panel and a tile. Each sum is a variable of its own, because the compiler keeps no array
/// of arrays in registers.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "registers have no meaning")]
fn multiply<const LANES: usize, const FUSED: bool>(
    weights: &[[f32; ROWS]],
    values: &[[[f32; LANES]; 2]],
    bias: &[f32; ROWS],
) -> [[[f32; LANES]; 2]; ROWS] {
    let [mut a, mut b] = [[bias[0]; LANES]; 2];
    let [mut c, mut d] = [[bias[1]; LANES]; 2];
    let [mut e, mut f] = [[bias[2]; LANES]; 2];
    let [mut g, mut h] = [[bias[3]; LANES]; 2];
    let [mut i, mut j] = [[bias[4]; LANES]; 2];
    let [mut k, mut l] = [[bias[5]; LANES]; 2];
    let values = &values[..weights.len()];
    for at in 0..weights.len() {
        let (weights, [x, y]) = (&weights[at], &values[at]);
        a = add_product::<LANES, FUSED>(a, x, weights[0]);
        b = add_product::<LANES, FUSED>(b, y, weights[0]);
        c = add_product::<LANES, FUSED>(c, x, weights[1]);
        d = add_product::<LANES, FUSED>(d, y, weights[1]);
        e = add_product::<LANES, FUSED>(e, x, weights[2]);
        f = add_product::<LANES, FUSED>(f, y, weights[2]);
        g = add_product::<LANES, FUSED>(g, x, weights[3]);
        h = add_product::<LANES, FUSED>(h, y, weights[3]);
        i = add_product::<LANES, FUSED>(i, x, weights[4]);
        j = add_product::<LANES, FUSED>(j, y, weights[4]);
        k = add_product::<LANES, FUSED>(k, x, weights[5]);
        l = add_product::<LANES, FUSED>(l, y, weights[5]);
    }
    [[a, b], [c, d], [e, f], [g, h], [i, j], [k, l]]
}

/// Multiplies a panel with one pixel. The lanes are output channels; those of several input channels are summed by the
/// caller.
pub(crate) struct Column<'a> {
    pub(crate) weights: &'a [[f32; ROWS]],
    /// The value of each input channel, repeated for the rows of the panel.
    pub(crate) values: &'a [[f32; ROWS]],
    pub(crate) products: &'a mut [f32; COLUMN_LANES],
}

impl Operation for Column<'_> {
    #[inline(always)]
    fn run<const LANES: usize, const FUSED: bool>(self) {
        let weights = self.weights.as_flattened().as_chunks::<LANES>().0.as_chunks::<3>().0;
        let values = &self.values.as_flattened().as_chunks::<LANES>().0.as_chunks::<3>().0[..weights.len()];
        let [mut a, mut b, mut c] = [[0.0; LANES]; 3];
        for at in 0..weights.len() {
            a = add_products::<LANES, FUSED>(a, &values[at][0], &weights[at][0]);
            b = add_products::<LANES, FUSED>(b, &values[at][1], &weights[at][1]);
            c = add_products::<LANES, FUSED>(c, &values[at][2], &weights[at][2]);
        }
        self.products[..3 * LANES].copy_from_slice([a, b, c].as_flattened());
    }
}

#[inline(always)]
fn add_products<const LANES: usize, const FUSED: bool>(
    mut sums: [f32; LANES],
    values: &[f32; LANES],
    weights: &[f32; LANES],
) -> [f32; LANES] {
    for at in 0..LANES {
        sums[at] = if FUSED { values[at].mul_add(weights[at], sums[at]) } else { sums[at] + values[at] * weights[at] };
    }
    sums
}
