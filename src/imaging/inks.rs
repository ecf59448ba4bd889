//! Converts a CMYK image to sRGB by its profile. The file is decoded a second time to its inks, because the inks cannot be
//! recovered from RGB. The decoders reduce the image before it is converted, so few pixels are converted.

use fast_image_resize::images::TypedImage;
use image::RgbImage;
use moxcms::DataColorSpace;

use super::prepare::decoded_image::Pixels;
use super::reduced::to_high_bytes;
use super::{colour, jpeg, tiff};
use crate::domain::ImageFormat;

/// Inks, reduced: four bytes for each pixel, 255 for the full amount.
pub(crate) struct Inks {
    pub(crate) bytes: Vec<u8>,
    /// The width and height in pixels.
    pub(crate) size: (u32, u32),
    /// The width and height of the image, measured in these pixels.
    pub(crate) extent: (f64, f64),
}

/// Returns the image in sRGB with at least this width and height, or with all of its pixels. The result is `None` if the image
/// is not in CMYK, has no usable profile, or would need too much memory.
pub(super) fn to_srgb(bytes: &[u8], format: ImageFormat, least: (u32, u32)) -> Option<Pixels> {
    let is_cmyk = match format {
        ImageFormat::Jpeg => jpeg::cmyk::is_cmyk(bytes),
        ImageFormat::Tiff => tiff::has_inks(bytes),
        _ => false,
    };
    if !is_cmyk {
        return None;
    }
    let profile = colour::profile(bytes, format).filter(|profile| profile.color_space == DataColorSpace::Cmyk)?;
    let Inks { bytes, size: (width, height), extent } = match format {
        ImageFormat::Jpeg => jpeg::cmyk::decode(bytes, least)?,
        _ => tiff::decode_inks(bytes, least)?,
    };
    let rgb = RgbImage::from_raw(width, height, colour::cmyk_to_srgb(&bytes, &profile)?)?;
    let samples = rgb.as_raw().as_chunks::<3>().0.iter().copied().map(to_high_bytes).collect();
    Some(Pixels::Reduced { image: TypedImage::from_pixels(width, height, samples).ok()?, extent })
}
