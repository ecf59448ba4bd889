//! Depthwise convolution: each channel of an image is convolved with one or several filters of its own.
//!
//! A channel is copied into a plane with zeros around it. The plane is split by the strides into phases, so that the
//! values that a weight is multiplied with are consecutive for consecutive outputs. A convolution is then a sum of
//! shifted pieces of one long row, for all kernel sizes, strides, paddings and dilations.

use crate::geometry::Geometry;
use crate::panel::ROWS;
use crate::planes::Planes;
use crate::workspace::{Workspace, reserved};
use crate::{Clip, Dense, Window};

/// The parameters of a convolution, as ONNX has them.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Number of input channels. Each has the same number of filters, and so of output channels.
    pub groups: usize,
    /// Size and place of the filters.
    pub window: Window,
    /// The filters, output channel by output channel and row by row.
    pub weights: Vec<f32>,
    /// One value for each output channel.
    pub bias: Vec<f32>,
    /// Limits of the input values, applied before the convolution.
    pub clip_input: Clip,
    /// Limits of the output values.
    pub clip_output: Clip,
}

/// A depthwise convolution, with the dense convolution before it if there is one.
#[derive(Debug)]
pub struct Depthwise {
    parameters: Parameters,
    before: Option<Dense>,
}

impl Depthwise {
    /// `before` computes the input channels. Returns `None` if the parameters contradict each other, or are larger than
    /// this crate supports.
    #[must_use]
    pub fn new(parameters: Parameters, before: Option<Dense>) -> Option<Self> {
        let Parameters { groups, window, weights, bias, .. } = &parameters;
        let is_supported = window.is_supported()
            && !bias.is_empty()
            && bias.len().is_multiple_of(*groups)
            && weights.len() == bias.len() * window.kernel[0] * window.kernel[1]
            && before.as_ref().is_none_or(|before| before.outputs() == *groups);
        is_supported.then_some(Self { parameters, before })
    }

    /// Returns the convolutions of images, and their shape (batch, channels, height, width). Returns `None` if the
    /// shape does not fit.
    #[must_use]
    pub fn apply(
        &self,
        values: &[f32],
        shape: [usize; 4],
        workspace: &mut Workspace,
    ) -> Option<(Vec<f32>, [usize; 4])> {
        let Self { parameters, before } = self;
        let [batch, channels, height, width] = shape;
        let image = channels.checked_mul(height.checked_mul(width)?).filter(|image| *image > 0)?;
        if batch.checked_mul(image)? != values.len() || (before.is_none() && channels != parameters.groups) {
            return None;
        }
        let size = match before {
            None => [height, width],
            Some(before) => before.output(channels, [height, width])?,
        };
        let geometry = Geometry::new(&parameters.window, size, workspace.simd.lanes())?;
        let [outputs, out_height, out_width] = [parameters.bias.len(), geometry.out[0], geometry.out[1]];
        let pixels = out_height * out_width;
        let length = outputs.checked_mul(pixels)?;
        let mut result = workspace.result(batch.checked_mul(length)?);
        workspace.plane.clear();
        workspace.plane.resize(geometry.plane, 0.0);
        for (image, result) in values.chunks_exact(image).zip(result.chunks_exact_mut(length)) {
            match before {
                None => self.convolve(&geometry, 0, image, workspace, result),
                // A few channels at a time, which are still in the cache when they are read.
                Some(before) => {
                    before.pack(image, [height, width], workspace);
                    for panels in before.panels(workspace.simd) {
                        let first = panels.start * ROWS;
                        let channels = before.multiply_panels(panels, size, workspace);
                        let target = &mut result[first * outputs / parameters.groups * pixels..];
                        self.convolve(&geometry, first, &channels, workspace, target);
                        workspace.panel = channels;
                    }
                }
            }
        }
        Some((result, [batch, outputs, out_height, out_width]))
    }

    /// Writes the convolutions of consecutive channels to the start of the target.
    fn convolve(
        &self,
        geometry: &Geometry,
        first: usize,
        source: &[f32],
        workspace: &mut Workspace,
        target: &mut [f32],
    ) {
        let Workspace { simd, plane, sums, .. } = workspace;
        let parameters = &self.parameters;
        let filters = parameters.bias.len() / parameters.groups;
        let planes = source.len() / (geometry.size[0] * geometry.size[1]) * filters;
        let target = &mut target[..planes * geometry.out[0] * geometry.out[1]];
        let sums = reserved(sums, geometry.sums);
        simd.run(Planes { parameters, geometry, first, source, target, plane, sums });
    }
}
