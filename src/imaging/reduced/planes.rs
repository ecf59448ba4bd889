//! Collects the pixels of each component and combines them to the image.

use fast_image_resize::pixels::U16x3;

use super::Scale;
use super::frame::Frame;

/// How many pixels a block of a component keeps per axis (2 or 4), and how often the resolution of the image must be halved to
/// match the resolution of the component.
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

/// Maximum number of pixels per side that a block keeps.
pub(super) const MAX_BLOCK_SIDE: usize = 4;

impl Planes {
    pub(super) fn new(frame: &Frame<'_>, scale: Scale) -> Self {
        let (across, down) = frame.units();
        let luma = &frame.components[0];
        let planes = frame.components.iter().map(|component| {
            // Colour is mostly stored at half the size. A larger share of it is kept, so that it does not have to be
            // enlarged.
            let kept = |luma: usize, own: usize| {
                let all = usize::from(scale.pixels_per_block_side()) * luma / own;
                let kept = all.min(MAX_BLOCK_SIDE);
                (kept, (all / kept).ilog2())
            };
            let (horizontal, vertical) = (kept(luma.across, component.across), kept(luma.down, component.down));
            let shape = Shape { across: horizontal.0, down: vertical.0, halvings: (horizontal.1, vertical.1) };
            let stride = across * component.across * horizontal.0;
            Plane { shape, stride, pixels: vec![0; stride * down * component.down * vertical.0] }
        });
        Self(planes.collect())
    }

    pub(super) fn shapes(&self) -> impl Iterator<Item = Shape> + '_ {
        self.0.iter().map(|plane| plane.shape)
    }

    /// Sets pixels of a row, from `left` on. Their number is a constant, so that this is one store.
    #[inline]
    pub(super) fn set<const COUNT: usize>(&mut self, plane: usize, row: usize, left: usize, pixels: [u8; COUNT]) {
        let plane = &mut self.0[plane];
        if let Some(place) = plane.pixels[row * plane.stride + left..].first_chunk_mut() {
            *place = pixels;
        }
    }

    /// Returns the pixels of the image, row by row, with each value in the high byte of a 16-bit sample.
    pub(super) fn into_pixels(self, width: usize, height: usize) -> Vec<U16x3> {
        let mut pixels = vec![U16x3::new([0; 3]); width * height];
        for (y, out) in pixels.chunks_exact_mut(width.max(1)).enumerate() {
            match &self.0[..] {
                [luma, blue, red] => {
                    let (lumas, blues, reds) = (&luma.line(y)[..width], blue.line(y), red.line(y));
                    match blue.shape.halvings.0 {
                        0 => rgb_line(out, lumas, &blues[..width], &reds[..width]),
                        halvings => {
                            for (x, pixel) in out.iter_mut().enumerate() {
                                *pixel = rgb(lumas[x], blues[x >> halvings], reds[x >> halvings]);
                            }
                        }
                    }
                }
                [gray, ..] => {
                    let grays = &gray.line(y)[..width];
                    for (x, pixel) in out.iter_mut().enumerate() {
                        *pixel = to_high_bytes([grays[x]; 3]);
                    }
                }
                [] => {}
            }
        }
        pixels
    }
}

/// Converts a line of YCbCr to RGB.
fn rgb_line(out: &mut [U16x3], lumas: &[u8], blues: &[u8], reds: &[u8]) {
    for (x, pixel) in out.iter_mut().enumerate() {
        *pixel = rgb(lumas[x], blues[x], reds[x]);
    }
}

pub(in crate::imaging) fn to_high_bytes(pixel: [u8; 3]) -> U16x3 {
    U16x3::new(pixel.map(|value| u16::from(value) << 8))
}

impl Plane {
    fn line(&self, y: usize) -> &[u8] {
        &self.pixels[(y >> self.shape.halvings.1) * self.stride..][..self.stride]
    }
}

/// Converts YCbCr to RGB (JFIF 1.02, page 3, in units of 1/65536). Each value is in the high byte of 16 bits.
#[inline]
fn rgb(luma: u8, blue: u8, red: u8) -> U16x3 {
    let (luma, blue, red) = (i32::from(luma) * 65536 + 32768, i32::from(blue) - 128, i32::from(red) - 128);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a byte, then shifted to the high byte"
    )]
    let to_sample = |value: i32| ((value >> 16).clamp(0, 255) << 8) as u16;
    U16x3::new([
        to_sample(luma + 91881 * red),
        to_sample(luma - 22554 * blue - 46802 * red),
        to_sample(luma + 116_130 * blue),
    ])
}
