//! Depthwise convolution: each channel of an image is convolved with one or several filters of its own. ADR 0019.
//!
//! A channel is copied into a plane with zeros around it. The plane is split by the strides into phases, so that the
//! values that a weight is multiplied with are consecutive for consecutive outputs. A convolution is then a sum of
//! shifted pieces of one long row, for all kernel sizes, strides, paddings and dilations.

mod geometry;
mod kernel;

use geometry::Geometry;
pub use kernel::Simd;

/// Maximum of a stride, a kernel side, a dilation and a padding. No network comes near them.
const MAX_STRIDE: usize = 4;
const MAX_KERNEL: usize = 64;
const MAX_DILATION: usize = 64;
const MAX_PADDING: usize = 1024;

/// The parameters of a convolution, as ONNX has them.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Number of input channels. Each has the same number of filters, and so of output channels.
    pub groups: usize,
    /// Height and width of a filter.
    pub kernel: [usize; 2],
    /// Vertical and horizontal.
    pub strides: [usize; 2],
    /// Vertical and horizontal.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub padding: [usize; 4],
    /// The filters, output channel by output channel and row by row.
    pub weights: Vec<f32>,
    /// One value for each output channel.
    pub bias: Vec<f32>,
    /// Limits of the input values, applied before the convolution.
    pub clip_input: Clip,
    /// Limits of the output values.
    pub clip_output: Clip,
}

/// Limits of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// The least value.
    pub min: f32,
    /// The greatest value.
    pub max: f32,
}

impl Clip {
    /// No limits.
    pub const NONE: Self = Self { min: f32::NEG_INFINITY, max: f32::INFINITY };
}

/// A depthwise convolution.
#[derive(Debug)]
pub struct Depthwise {
    parameters: Parameters,
}

impl Depthwise {
    /// Returns `None` if the parameters contradict each other, or are larger than this crate supports.
    #[must_use]
    pub fn new(parameters: Parameters) -> Option<Self> {
        let Parameters { groups, kernel, strides, dilations, padding, weights, bias, .. } = &parameters;
        let within = |values: &[usize], min: usize, max: usize| values.iter().all(|value| (min..=max).contains(value));
        let is_supported = within(kernel, 1, MAX_KERNEL)
            && within(strides, 1, MAX_STRIDE)
            && within(dilations, 1, MAX_DILATION)
            && within(padding, 0, MAX_PADDING)
            && !bias.is_empty()
            && bias.len().is_multiple_of(*groups)
            && weights.len() == bias.len() * kernel[0] * kernel[1];
        is_supported.then_some(Self { parameters })
    }

    /// Replaces images by their convolutions, and returns the new shape (batch, channels, height, width). Returns
    /// `None`, with `values` unchanged, if the shape does not fit.
    pub fn apply(&self, values: &mut Vec<f32>, shape: [usize; 4], simd: Simd) -> Option<[usize; 4]> {
        let [batch, channels, height, width] = shape;
        let planes = batch.checked_mul(channels)?;
        let input = height.checked_mul(width)?;
        let Parameters { groups, bias, .. } = &self.parameters;
        if channels != *groups || input == 0 || planes.checked_mul(input)? != values.len() {
            return None;
        }
        let geometry = Geometry::new(&self.parameters, [height, width], simd.block())?;
        let output = geometry.out[0] * geometry.out[1] * (bias.len() / groups);
        // Outputs are written from the begin and values are read up to the end, so that the outputs of a plane replace
        // only values that are no longer needed.
        let start = planes.checked_mul(output)?.saturating_sub(values.len());
        values.resize(values.len() + start, 0.0);
        values.copy_within(..planes * input, start);
        kernel::convolve(&self.parameters, &geometry, values, start, simd);
        values.truncate(planes * output);
        Some([batch, bias.len(), geometry.out[0], geometry.out[1]])
    }
}
