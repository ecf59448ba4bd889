//! The arithmetic of dense convolutions.

#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]
#![expect(clippy::needless_range_loop, reason = "iterators are not always inlined here, which costs a factor of 13")]

use crate::Clip;
use crate::simd::{MAX_LANES, Operation, Register};

/// Output channels of a panel. Two registers of sums for each, two of values and one weight fit into 16 registers.
pub(crate) const ROWS: usize = 6;
/// Sums of a column: three registers, of which the channels of a panel are a divisor.
pub(crate) const COLUMN_LANES: usize = 3 * MAX_LANES;

/// Copies pixels into tiles: for each tile and each input channel, two registers of values, and one register in the last tile if
/// it has at most as many pixels as a register. The rest of the last tile is zero.
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
    fn run<R: Register>(self) {
        let Self { source, stride, inputs, pixels, tiles } = self;
        let (tile, whole) = (2 * R::LANES, pixels / R::LANES / 2);
        let (tiles, last) = tiles.split_at_mut(whole * inputs * tile);
        let rest = pixels - whole * tile;
        let width = rest.next_multiple_of(R::LANES);
        // Channel by channel, so that consecutive values are read.
        for input in 0..inputs {
            let source = &source[input * stride..][..pixels];
            for at in 0..whole {
                let (source, target) =
                    (&source[at * tile..][..tile], &mut tiles[(at * inputs + input) * tile..][..tile]);
                R::load(source).store(target);
                R::load(&source[R::LANES..]).store(&mut target[R::LANES..]);
            }
            if rest > 0 {
                let (source, target) = (&source[whole * tile..], &mut last[input * width..][..width]);
                R::load_part(&source[..rest.min(R::LANES)]).store(target);
                if rest > R::LANES {
                    R::load_part(&source[R::LANES..]).store(&mut target[R::LANES..]);
                }
            }
        }
    }
}

/// Multiplies one panel with tiles, or two consecutive ones.
pub(crate) struct Panels<'a> {
    /// For each panel and each input channel.
    pub(crate) weights: &'a [[f32; ROWS]],
    /// For each panel.
    pub(crate) bias: &'a [[f32; ROWS]],
    pub(crate) inputs: usize,
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

impl Operation for Panels<'_> {
    #[inline(always)]
    fn run<R: Register>(mut self) {
        if self.bias.len() == 2 { self.multiply::<R, 2>() } else { self.multiply::<R, 1>() }
    }
}

impl Panels<'_> {
    #[inline(always)]
    fn multiply<R: Register, const PANELS: usize>(&mut self) {
        let tiles = self.tiles;
        for first in (0..self.pixels).step_by(2 * R::LANES) {
            let tile = &tiles[first * self.inputs..];
            if self.pixels - first > R::LANES {
                self.multiply_tile::<R, PANELS, 2>(&tile[..2 * R::LANES * self.inputs], first);
            } else {
                self.multiply_tile::<R, PANELS, 1>(&tile[..R::LANES * self.inputs], first);
            }
        }
    }

    #[inline(always)]
    fn multiply_tile<R: Register, const PANELS: usize, const REGISTERS: usize>(&mut self, tile: &[f32], first: usize) {
        let (inputs, length) = (self.inputs, self.weights.len() / PANELS);
        let mut weights = [&self.weights[..inputs]; PANELS];
        let mut sums = [[[R::splat(0.0); REGISTERS]; ROWS]; PANELS];
        for panel in 0..PANELS {
            weights[panel] = &self.weights[panel * length..][..inputs];
            for row in 0..ROWS {
                sums[panel][row] = [R::splat(self.bias[panel][row]); REGISTERS];
            }
        }
        for at in 0..inputs {
            let tile = &tile[at * REGISTERS * R::LANES..][..REGISTERS * R::LANES];
            let mut values = [R::splat(0.0); REGISTERS];
            for register in 0..REGISTERS {
                values[register] = R::load(&tile[register * R::LANES..]);
            }
            for panel in 0..PANELS {
                for row in 0..ROWS {
                    let weight = R::splat(weights[panel][at][row]);
                    for register in 0..REGISTERS {
                        sums[panel][row][register] = sums[panel][row][register].add_product(values[register], weight);
                    }
                }
            }
        }
        // A copy, because the compiler would keep an array with variable indexes in memory, also in the loop above.
        let mut rows = [[[R::splat(0.0); REGISTERS]; ROWS]; PANELS];
        for panel in 0..PANELS {
            for row in 0..ROWS {
                for register in 0..REGISTERS {
                    rows[panel][row][register] = sums[panel][row][register];
                }
            }
        }
        for panel in 0..PANELS {
            for row in 0..ROWS {
                self.write(panel * ROWS + row, first, rows[panel][row]);
            }
        }
    }

    /// Writes the sums of some pixels of an output channel.
    #[inline(always)]
    fn write<R: Register, const REGISTERS: usize>(&mut self, row: usize, first: usize, sums: [R; REGISTERS]) {
        if row >= self.rows {
            return;
        }
        let place = row * self.stride + first;
        let count = (self.pixels - first).min(REGISTERS * R::LANES);
        let target = &mut self.target[place..][..count];
        for register in 0..REGISTERS {
            let (begin, end) = (register * R::LANES, ((register + 1) * R::LANES).min(count));
            if begin >= end {
                return;
            }
            let mut sum = sums[register];
            let target = &mut target[begin..end];
            let is_whole = target.len() == R::LANES;
            if let Some(addend) = self.addend {
                let addend = &addend[place..][begin..end];
                sum = sum.add(if is_whole { R::load(addend) } else { R::load_part(addend) });
            }
            sum = sum.limit(self.clip);
            if is_whole { sum.store(target) } else { sum.store_part(target) }
        }
    }
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
    fn run<R: Register>(self) {
        let (weights, values) = (self.weights.as_flattened(), self.values.as_flattened());
        let mut sums = [R::splat(0.0); 3];
        let length = weights.len().min(values.len());
        for at in (0..length).step_by(3 * R::LANES) {
            let (weights, values) = (&weights[at..][..3 * R::LANES], &values[at..][..3 * R::LANES]);
            for register in 0..3 {
                let begin = register * R::LANES;
                sums[register] = sums[register].add_product(R::load(&values[begin..]), R::load(&weights[begin..]));
            }
        }
        for register in 0..3 {
            sums[register].store(&mut self.products[register * R::LANES..]);
        }
    }
}
