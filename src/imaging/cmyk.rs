//! The thumbnail of a CMYK JPEG that carries a profile: its inks are decoded once more, since in RGB they cannot be told apart.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use jpeg_decoder::{Decoder, PixelFormat};

use super::coding;
use super::colour;

/// Of more pixels the thumbnail is made without the profile: what decoding takes beside the image itself is bounded so.
pub(super) const MAX_PIXELS: u64 = 24_000_000;

/// The image in sRGB and in this size; `None` if it is not in CMYK with a profile that can be used.
pub(super) fn fitted(jpeg: &[u8], width: u32, height: u32) -> Option<RgbImage> {
    let coding = coding::read(jpeg).filter(coding::Coding::is_cmyk)?;
    if u64::from(coding.width) * u64::from(coding.height) > MAX_PIXELS {
        return None;
    }
    let profile = colour::profile(jpeg, crate::domain::ImageFormat::Jpeg)?;
    let mut decoder = Decoder::new(jpeg);
    // The next larger eighth, quarter or half.
    let (wide, high) = decoder.scale(u16::try_from(width).ok()?, u16::try_from(height).ok()?).ok()?;
    let inks = decoder.decode().ok()?;
    if decoder.info()?.pixel_format != PixelFormat::CMYK32 {
        return None;
    }
    let source = ImageRef::new(wide.into(), high.into(), &inks, PixelType::U8x4).ok()?;
    let mut resized = Image::new(width, height, PixelType::U8x4);
    let bicubic = ResizeAlg::Convolution(FilterType::CatmullRom);
    // Black is the fourth ink, and not transparency.
    let options = ResizeOptions::new().resize_alg(bicubic).use_alpha(false);
    Resizer::new().resize(&source, &mut resized, &options).ok()?;
    RgbImage::from_raw(width, height, colour::cmyk_to_srgb(resized.buffer(), &profile)?)
}
