//! Size and place of filters, and the input values that each weight is multiplied with.

#![expect(clippy::inline_always, reason = "a function that is not inlined is compiled for the baseline")]

use crate::Clip;
use crate::copy::copy_row;
use crate::simd::{Operation, Register};

/// Size and place of the filters, as ONNX has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of a filter.
    pub kernel: [usize; 2],
    /// Vertical and horizontal.
    pub strides: [usize; 2],
    /// Vertical and horizontal.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub padding: [usize; 4],
}

/// Maximum of a stride, a kernel side, a dilation and a padding. No network comes near them.
const MAX_STRIDE: usize = 4;
const MAX_KERNEL: usize = 64;
const MAX_DILATION: usize = 64;
const MAX_PADDING: usize = 1024;

impl Window {
    /// The window of a pointwise convolution.
    pub const POINT: Self = Self { kernel: [1; 2], strides: [1; 2], dilations: [1; 2], padding: [0; 4] };

    pub(crate) fn is_supported(&self) -> bool {
        let within = |values: &[usize], min: usize, max: usize| values.iter().all(|value| (min..=max).contains(value));
        within(&self.kernel, 1, MAX_KERNEL)
            && within(&self.strides, 1, MAX_STRIDE)
            && within(&self.dilations, 1, MAX_DILATION)
            && within(&self.padding, 0, MAX_PADDING)
    }

    /// Returns the height and width of an output; `None` if the image with its padding is smaller than the filter.
    pub(crate) fn output(&self, size: [usize; 2]) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.padding;
        let outputs = |length: usize, axis: usize| {
            let span = (self.kernel[axis] - 1) * self.dilations[axis] + 1;
            Some(length.checked_sub(span)? / self.strides[axis] + 1)
        };
        Some([outputs(size[0] + top + bottom, 0)?, outputs(size[1] + left + right, 1)?])
    }
}

/// Copies an image for each weight of a filter: the values that the weight is multiplied with, output by output.
pub(crate) struct Unfold<'a> {
    pub(crate) window: Window,
    pub(crate) image: &'a [f32],
    pub(crate) size: [usize; 2],
    pub(crate) out: [usize; 2],
    pub(crate) target: &'a mut [f32],
}

impl Operation for Unfold<'_> {
    #[inline(always)]
    fn run<R: Register>(self) {
        let Self { window: Window { kernel, strides, dilations, padding }, image, size, out, target } = self;
        let [height, width] = size;
        let (weights, outputs) = (kernel[0] * kernel[1], out[0] * out[1]);
        for at in 0..target.len() / outputs {
            let channel = &image[at / weights * height * width..];
            let shift = [at % weights / kernel[1] * dilations[0], at % kernel[1] * dilations[1]];
            // The outputs of a row whose values are inside the image.
            let begin = padding[1].saturating_sub(shift[1]).div_ceil(strides[1]).min(out[1]);
            let end = (width + padding[1]).saturating_sub(shift[1]).div_ceil(strides[1]).clamp(begin, out[1]);
            for y in 0..out[0] {
                let target = &mut target[at * outputs + y * out[1]..];
                let inside = (y * strides[0] + shift[0]).checked_sub(padding[0]).filter(|y| *y < height);
                let Some(row) = inside.filter(|_| begin < end) else {
                    target[..out[1]].fill(0.0);
                    continue;
                };
                let source = &channel[row * width + begin * strides[1] + shift[1] - padding[1]..];
                target[..begin].fill(0.0);
                copy_row::<R>(source, &mut target[begin..], end - begin, strides[1], Clip::NONE);
                target[end..out[1]].fill(0.0);
            }
        }
    }
}
