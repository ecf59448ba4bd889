//! Decodes a JPEG to a half or a quarter of its size, for a fraction of the cost of a full decode (ADR 0006).
//!
//! Only the lowest frequencies of each block of 8 x 8 pixels are converted to pixels. The codes of the
//! other frequencies are skipped, several at once, without decoding their values. Only the coding that most cameras and
//! browsers write is supported: baseline, gray or YCbCr, in one scan. For any unusual or invalid file the result is
//! `None`; the full decoder then decodes it or reports the error.

mod bits;
mod block;
mod frame;
mod huffman;
mod planes;

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x3;

use bits::{Bits, Intervals};
use block::Blocks;
use frame::Frame;
use planes::Planes;

pub(super) use planes::to_high_bytes;

/// The share of each side that is kept. An eighth is not supported, because its result differs too much
/// from a full decode (ADR 0006).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Quarter,
    Half,
}

impl Scale {
    /// Returns the smallest scale that keeps this share of each side.
    pub(super) fn smallest_for_share(share: f64) -> Option<Self> {
        [Self::Quarter, Self::Half].into_iter().find(|scale| scale.extent(1) >= share)
    }

    /// Returns the number of pixels per side that a block of 8 x 8 pixels keeps.
    pub(super) fn pixels_per_block_side(self) -> u8 {
        match self {
            Self::Quarter => 2,
            Self::Half => 4,
        }
    }

    /// Returns the number of pixels that a side of an image keeps. A part of the last pixel can be outside the image.
    pub(super) fn side(self, full: u32) -> u32 {
        let kept = (u64::from(full) * u64::from(self.pixels_per_block_side())).div_ceil(8);
        u32::try_from(kept).unwrap_or(u32::MAX)
    }

    /// Returns the same as [`side`](Self::side), but with its fraction.
    pub(super) fn extent(self, full: u32) -> f64 {
        f64::from(full) * f64::from(self.pixels_per_block_side()) / 8.0
    }
}

/// A reduced image with 16 bits per sample, to keep fractions. With bytes, the rounding between the two resize steps
/// would cause a larger difference from the full decode than the reduction itself.
pub(super) type Reduced = TypedImage<'static, U16x3>;

/// Returns whether this module can decode the file, by its header.
pub(super) fn reads(bytes: &[u8]) -> bool {
    Frame::read(bytes).is_some()
}

/// Decodes the image reduced, in its stored orientation. Returns `None` if this module cannot decode it.
pub(super) fn decode(bytes: &[u8], scale: Scale) -> Option<Reduced> {
    let frame = Frame::read(bytes)?;
    let intervals = Intervals::read(frame.data)?;
    let (across, down) = frame.units();
    let unit_count = across * down;
    let units_per_interval = if frame.restart_interval == 0 { unit_count } else { frame.restart_interval };
    if intervals.count() != unit_count.div_ceil(units_per_interval) {
        return None;
    }
    let mut planes = Planes::new(&frame, scale);
    let blocks: Vec<Blocks<'_>> = frame.components.iter().zip(planes.shapes()).map(Blocks::new).collect();
    for (number, interval) in intervals.iter().enumerate() {
        let mut bits = Bits::new(&interval);
        let mut before = [0_i32; 3];
        for unit in number * units_per_interval..unit_count.min((number + 1) * units_per_interval) {
            let (row, column) = (unit / across, unit % across);
            for component in 0..blocks.len() {
                let before = &mut before[component];
                blocks[component].decode(&mut bits, before, &mut planes, component, (column, row))?;
            }
        }
        if !bits.is_exhausted(&interval) {
            return None;
        }
    }
    let (width, height) = (scale.side(frame.width), scale.side(frame.height));
    TypedImage::from_pixels(width, height, planes.into_pixels(width as usize, height as usize)).ok()
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::imaging::{ImagingSettings, decode_upright};

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/").to_owned() + name).unwrap()
    }

    /// Returns an image in which each pixel is the mean of the pixels that it replaces. A reduced decode
    /// gives the same, except for the highest frequencies.
    fn average(bytes: &[u8], times: usize) -> Vec<[f64; 3]> {
        let whole = decode_upright(bytes, &ImagingSettings::default().limits()).unwrap();
        let (width, height) = (whole.meta.width as usize, whole.meta.height as usize);
        let whole = RgbImage::from_raw(whole.meta.width, whole.meta.height, whole.rgb.to_vec()).unwrap();
        let mut means = Vec::new();
        for top in (0..height).step_by(times) {
            for left in (0..width).step_by(times) {
                let mut sum = [0.0; 4];
                for y in top..height.min(top + times) {
                    for x in left..width.min(left + times) {
                        let pixel = whole.get_pixel(u32::try_from(x).unwrap(), u32::try_from(y).unwrap()).0;
                        sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += f64::from(value));
                        sum[3] += 1.0;
                    }
                }
                means.push([sum[0], sum[1], sum[2]].map(|channel| channel / sum[3]));
            }
        }
        means
    }

    #[test]
    fn a_reduced_decode_equals_the_mean_of_the_full_decode() {
        for name in ["gray.jpg", "full-chroma.jpg", "half-chroma.jpg", "wide-chroma.jpg", "restarts.jpg", "223x225.jpg"]
        {
            let bytes = file(name);
            for (scale, times) in [(Scale::Quarter, 4), (Scale::Half, 2)] {
                let reduced = decode(&bytes, scale).unwrap_or_else(|| panic!("{name} is not decoded"));
                let expected = average(&bytes, times);
                assert_eq!(reduced.pixels().len(), expected.len(), "{name} {scale:?}");
                let difference = |(pixel, mean): (&U16x3, &[f64; 3])| {
                    pixel.0.iter().zip(mean).map(|(&value, mean)| (f64::from(value) / 256.0 - mean).abs()).sum::<f64>()
                };
                #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
                let values = (expected.len() * 3) as f64;
                let difference = reduced.pixels().iter().zip(&expected).map(difference).sum::<f64>() / values;
                assert!(difference < 4.0, "{name} {scale:?}: a mean difference of {difference} of 255");
            }
        }
    }

    #[test]
    fn an_unusual_coding_is_left_to_the_full_decoder() {
        for name in ["progressive.jpg", "cmyk.jpg", "ycck.jpg"] {
            assert!(decode(&file(name), Scale::Half).is_none(), "{name}");
        }
    }

    #[test]
    fn a_truncated_or_damaged_file_is_left_to_the_full_decoder() {
        for name in ["half-chroma.jpg", "restarts.jpg"] {
            let bytes = file(name);
            for share in 1..100 {
                assert!(decode(&bytes[..bytes.len() * share / 100], Scale::Half).is_none(), "{name} at {share} %");
            }
            let (data, end) = bytes.split_at(bytes.len() - 2);
            for more in [&b"\x55"[..], b"\xFF\x00", b"\xFF\xD0"] {
                assert!(decode(&[data, more, end].concat(), Scale::Half).is_none(), "{name} and {more:?}");
            }
        }
    }
}
