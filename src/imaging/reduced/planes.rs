//! Where the pixels of each component are gathered, and the image that they make together.

use fast_image_resize::pixels::U16x3;

use super::Scale;
use super::frame::Frame;

/// How many pixels a block of a component keeps, and how often the image's are to be halved to be as few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) across: usize,
    pub(super) down: usize,
    halvings: (u32, u32),
}

struct Plane {
    shape: Shape,
    stride: usize,
    pixels: Vec<u8>,
}

pub(super) struct Planes(Vec<Plane>);

/// The most pixels a side that a block keeps.
pub(super) const MOST: usize = 4;

impl Planes {
    pub(super) fn new(frame: &Frame<'_>, scale: Scale) -> Self {
        let (across, down) = frame.units();
        let luma = &frame.components[0];
        let planes = frame.components.iter().map(|component| {
            // Colour is mostly stored at half the size: then more of it is kept, so that it need not be enlarged.
            let kept = |luma: usize, own: usize| {
                let all = usize::from(scale.of_eight()) * luma / own;
                let kept = all.min(MOST);
                (kept, (all / kept).ilog2())
            };
            let (wide, high) = (kept(luma.across, component.across), kept(luma.down, component.down));
            let shape = Shape { across: wide.0, down: high.0, halvings: (wide.1, high.1) };
            let stride = across * component.across * wide.0;
            Plane { shape, stride, pixels: vec![0; stride * down * component.down * high.0] }
        });
        Self(planes.collect())
    }

    pub(super) fn shapes(&self) -> impl Iterator<Item = Shape> + '_ {
        self.0.iter().map(|plane| plane.shape)
    }

    /// So many pixels of a row.
    #[inline]
    pub(super) fn row(&mut self, plane: usize, row: usize, left: usize, count: usize) -> &mut [u8] {
        let plane = &mut self.0[plane];
        &mut plane.pixels[row * plane.stride + left..][..count]
    }

    /// The image's pixels, row by row: bytes in the upper halves.
    pub(super) fn into_pixels(self, width: usize, height: usize) -> Vec<U16x3> {
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            match &self.0[..] {
                [luma, blue, red] => {
                    let (lumas, blues, reds) = (&luma.line(y)[..width], blue.line(y), red.line(y));
                    match blue.shape.halvings.0 {
                        0 => pixels.extend(
                            lumas.iter().zip(blues).zip(reds).map(|((&luma, &blue), &red)| rgb(luma, blue, red)),
                        ),
                        halvings => pixels.extend(
                            lumas
                                .iter()
                                .enumerate()
                                .map(|(x, &luma)| rgb(luma, blues[x >> halvings], reds[x >> halvings])),
                        ),
                    }
                }
                [gray, ..] => pixels.extend(gray.line(y)[..width].iter().map(|&gray| upper([gray; 3]))),
                [] => {}
            }
        }
        pixels
    }
}

pub(in crate::imaging) fn upper(pixel: [u8; 3]) -> U16x3 {
    U16x3::new(pixel.map(|value| u16::from(value) << 8))
}

impl Plane {
    fn line(&self, y: usize) -> &[u8] {
        &self.pixels[(y >> self.shape.halvings.1) * self.stride..][..self.stride]
    }
}

/// JFIF 1.02, page 3, in 1/65536. A byte each, in the upper half.
#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> U16x3 {
    let (luma, blue, red) = (i32::from(luma) * 65536 + 32768, i32::from(blue) - 128, i32::from(red) - 128);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte, then doubled")]
    let upper = |value: i32| ((value >> 16).clamp(0, 255) << 8) as u16;
    U16x3::new([upper(luma + 91881 * red), upper(luma - 22554 * blue - 46802 * red), upper(luma + 116_130 * blue)])
}
