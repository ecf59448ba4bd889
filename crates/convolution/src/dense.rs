//! Dense convolution: a product of the matrix of weights and a matrix with the input values of each output pixel, which
//! is the image itself if the filters have one pixel.
//!
//! The weights are stored in panels of a few output channels. The values are copied into tiles of as many pixels as two
//! registers have lanes, and each panel is multiplied with each tile. The few pixels after the last whole tile are
//! computed with the output channels in the lanes: 9 x 9 and 17 x 17 pixels are one more than whole tiles.

use std::ops::Range;

use crate::panel::{COLUMN_LANES, Column, Pack, Panels, ROWS};
use crate::window::Unfold;
use crate::workspace::{Packed, Workspace, reserved};
use crate::{Clip, Simd, Window};

/// Maximum number of values in the tiles that are multiplied at once: 256 KB, half of the second cache of most CPUs.
const MAX_PACKED: usize = 64 << 10;
/// Maximum number of pixels after whole tiles that are computed one by one; more are computed as a tile.
const MAX_SINGLE: usize = 4;
/// The weights of a panel have zeros at their end, up to a multiple of this number of inputs, so that they fill whole
/// registers.
const MULTIPLE: usize = COLUMN_LANES / ROWS;

/// A dense convolution.
#[derive(Debug)]
pub struct Dense {
    window: Window,
    /// Number of weights of an output channel.
    inputs: usize,
    outputs: usize,
    /// Panel by panel, and input by input.
    weights: Vec<[f32; ROWS]>,
    /// Of each panel.
    bias: Vec<[f32; ROWS]>,
    clip: Clip,
}

/// A part of the output: rows of the same pixels.
struct Part<'a> {
    target: &'a mut [f32],
    /// Values that are added, in the order of the target.
    addend: Option<&'a [f32]>,
    /// Number of values from row to row in both.
    stride: usize,
}

impl Dense {
    /// Takes the weights output channel by output channel, and limits of the output values. Returns `None` if the
    /// lengths do not fit, or the window is larger than this crate supports.
    #[must_use]
    pub fn new(weights: &[f32], bias: &[f32], window: Window, clip: Clip) -> Option<Self> {
        let (outputs, inputs) = (bias.len(), weights.len().checked_div(bias.len())?);
        let area = window.is_supported().then(|| window.kernel[0] * window.kernel[1])?;
        if inputs == 0 || inputs * outputs != weights.len() || !inputs.is_multiple_of(area) {
            return None;
        }
        let length = inputs.next_multiple_of(MULTIPLE);
        let mut panels = vec![[0.0; ROWS]; outputs.div_ceil(ROWS) * length];
        for (output, weights) in weights.chunks_exact(inputs).enumerate() {
            let panel = &mut panels[output / ROWS * length..];
            for (values, weight) in panel.iter_mut().zip(weights) {
                values[output % ROWS] = *weight;
            }
        }
        let mut padded = vec![[0.0; ROWS]; outputs.div_ceil(ROWS)];
        padded.as_flattened_mut()[..outputs].copy_from_slice(bias);
        Some(Self { window, inputs, outputs, weights: panels, bias: padded, clip })
    }

    /// Returns the number of output channels.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Returns the convolutions of images plus `addend`, and their shape (batch, channels, height, width). Returns
    /// `None` if the shape does not fit, or the addend has another number of values than the result.
    #[must_use]
    pub fn apply(
        &self,
        values: &[f32],
        shape: [usize; 4],
        addend: Option<&[f32]>,
        workspace: &mut Workspace,
    ) -> Option<(Vec<f32>, [usize; 4])> {
        let [batch, channels, height, width] = shape;
        let size = [height, width];
        let image = channels.checked_mul(height.checked_mul(width)?).filter(|image| *image > 0)?;
        let [out_height, out_width] = self.output(channels, size)?;
        let pixels = out_height * out_width;
        let output = self.outputs.checked_mul(pixels)?;
        let length = batch.checked_mul(output)?;
        if batch.checked_mul(image)? != values.len() || addend.is_some_and(|addend| addend.len() != length) {
            return None;
        }
        let mut result = workspace.result(length);
        let Workspace { simd, packed, unfolded, .. } = workspace;
        let simd = *simd;
        let tile = 2 * simd.lanes();
        let group = (MAX_PACKED / self.inputs / tile).max(1) * tile;
        for (at, image) in values.chunks_exact(image).enumerate() {
            let image = self.unfold(image, size, unfolded, simd)?;
            let target = &mut result[at * output..][..output];
            let addend = addend.map(|addend| &addend[at * output..][..output]);
            for first in (0..pixels).step_by(group) {
                self.pack_pixels(image, pixels, first, group.min(pixels - first), packed, simd);
                for panels in self.panels(simd) {
                    let begin = panels.start * ROWS * pixels + first;
                    let addend = addend.map(|addend| &addend[begin..]);
                    let part = Part { target: &mut target[begin..], addend, stride: pixels };
                    self.multiply(panels, packed, part, simd);
                }
            }
        }
        Some((result, [batch, self.outputs, out_height, out_width]))
    }

    /// Returns the height and width of an output.
    pub(crate) fn output(&self, channels: usize, size: [usize; 2]) -> Option<[usize; 2]> {
        let [height, width] = self.window.kernel;
        let output = self.window.output(size)?;
        // Both are used as a length.
        self.inputs.checked_mul(output[0].checked_mul(output[1])?)?;
        (channels.checked_mul(height * width)? == self.inputs).then_some(output)
    }

    /// Prepares an image for `multiply_panels`.
    pub(crate) fn pack(&self, image: &[f32], size: [usize; 2], workspace: &mut Workspace) {
        let Workspace { simd, packed, unfolded, .. } = workspace;
        if let Some(image) = self.unfold(image, size, unfolded, *simd) {
            let pixels = image.len() / self.inputs;
            self.pack_pixels(image, pixels, 0, pixels, packed, *simd);
        }
    }

    /// Returns the panels that are multiplied at once: two if the sums of both fit into the registers.
    pub(crate) fn panels(&self, simd: Simd) -> impl Iterator<Item = Range<usize>> {
        let (all, count) = (self.bias.len(), simd.panels());
        (0..all).step_by(count).map(move |first| first..(first + count).min(all))
    }

    /// Returns some consecutive channels of the output, in the memory for them.
    pub(crate) fn multiply_panels(&self, panels: Range<usize>, out: [usize; 2], workspace: &mut Workspace) -> Vec<f32> {
        let mut values = std::mem::take(&mut workspace.panel);
        let stride = out[0] * out[1];
        values.resize(self.rows(panels.clone()) * stride, 0.0);
        let part = Part { target: &mut values, addend: None, stride };
        self.multiply(panels, &workspace.packed, part, workspace.simd);
        values
    }

    fn rows(&self, panels: Range<usize>) -> usize {
        (panels.end * ROWS).min(self.outputs) - panels.start * ROWS
    }

    /// Returns the matrix with which the weights are multiplied, row by row.
    fn unfold<'a>(
        &self,
        image: &'a [f32],
        size: [usize; 2],
        unfolded: &'a mut Vec<f32>,
        simd: Simd,
    ) -> Option<&'a [f32]> {
        if self.window == Window::POINT {
            return Some(image);
        }
        let out = self.window.output(size)?;
        let target = reserved(unfolded, self.inputs * out[0] * out[1]);
        simd.run(Unfold { window: self.window, image, size, out, target });
        Some(target)
    }

    /// Copies some pixels of all rows of the matrix.
    fn pack_pixels(&self, matrix: &[f32], stride: usize, first: usize, pixels: usize, packed: &mut Packed, simd: Simd) {
        // Pixels after the last whole register.
        let rest = pixels % simd.lanes();
        packed.tiled = if rest <= MAX_SINGLE { pixels - rest } else { pixels };
        let tiles = reserved(&mut packed.tiles, packed.tiled.next_multiple_of(simd.lanes()) * self.inputs);
        simd.run(Pack { source: &matrix[first..], stride, inputs: self.inputs, pixels: packed.tiled, tiles });
        packed.columns.clear();
        for pixel in first + packed.tiled..first + pixels {
            let mut column = vec![[0.0; ROWS]; self.inputs.next_multiple_of(MULTIPLE)];
            for (values, row) in column.iter_mut().zip(matrix.chunks_exact(stride)) {
                *values = [row[pixel]; ROWS];
            }
            packed.columns.push(column);
        }
    }

    /// Computes the rows of some consecutive panels.
    fn multiply(&self, panels: Range<usize>, packed: &Packed, part: Part<'_>, simd: Simd) {
        let length = self.inputs.next_multiple_of(MULTIPLE);
        let clip = self.clip;
        let Part { target, addend, stride } = part;
        let rows = self.rows(panels.clone());
        let weights = &self.weights[panels.start * length..panels.end * length];
        let (bias, tiles, pixels) = (&self.bias[panels.clone()], &*packed.tiles, packed.tiled);
        simd.run(Panels { weights, bias, inputs: self.inputs, rows, tiles, pixels, clip, addend, target, stride });
        // After the tiles, so that the weights are in the cache.
        for panel in panels.clone() {
            let (weights, bias) = (&self.weights[panel * length..][..length], &self.bias[panel]);
            let first = (panel - panels.start) * ROWS;
            for (at, column) in packed.columns.iter().enumerate() {
                let mut products = [0.0; COLUMN_LANES];
                simd.run(Column { weights, values: column, products: &mut products });
                for row in 0..self.rows(panel..panel + 1) {
                    let place = (first + row) * stride + packed.tiled + at;
                    let sum: f32 = products[row..].iter().step_by(ROWS).sum();
                    target[place] = clip.limit(sum + bias[row] + addend.map_or(0.0, |addend| addend[place]));
                }
            }
        }
    }
}
