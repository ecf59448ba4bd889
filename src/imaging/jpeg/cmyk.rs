//! Makes the thumbnail of a CMYK JPEG with a profile. The file is decoded a second time to its inks, because the inks
//! cannot be recovered from RGB.

use image::RgbImage;
use image::metadata::Orientation;
use jpeg_decoder::{Decoder, PixelFormat};

use super::coding;
use crate::imaging::prepare::decoded_image::Pixels;
use crate::imaging::{Filter, colour, resize};

/// If the image has more pixels than this, the thumbnail is made without the profile. This limits the additional memory
/// for decoding the inks.
pub(crate) const MAX_PIXELS: u64 = 24_000_000;

/// Returns the image in sRGB and in this size, or `None` if it is not in CMYK or has no usable profile.
pub(crate) fn fitted(jpeg: &[u8], width: u32, height: u32) -> Option<RgbImage> {
    let coding = coding::read(jpeg).filter(coding::Coding::is_cmyk)?;
    if u64::from(coding.width) * u64::from(coding.height) > MAX_PIXELS {
        return None;
    }
    let profile = colour::profile(jpeg, crate::domain::ImageFormat::Jpeg)?;
    let mut decoder = Decoder::new(jpeg);
    // The decoder chooses the next larger scale: an eighth, a quarter or a half.
    let (decoded_width, decoded_height) =
        decoder.scale(u16::try_from(width).ok()?, u16::try_from(height).ok()?).ok()?;
    let inks = decoder.decode().ok()?;
    if decoder.info()?.pixel_format != PixelFormat::CMYK32 {
        return None;
    }
    // Converted before it is resized: the decoder has reduced the image, and the resizer needs no code for four channels.
    let decoded =
        RgbImage::from_raw(decoded_width.into(), decoded_height.into(), colour::cmyk_to_srgb(&inks, &profile)?)?;
    resize::resize(&Pixels::All(decoded), (width, height), Orientation::NoTransforms, Filter::Bicubic).ok()
}
