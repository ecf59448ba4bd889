//! Makes the thumbnail of a CMYK JPEG with a profile. The file is decoded a second time to its inks, because the inks
//! cannot be recovered from RGB.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x4;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use jpeg_decoder::{Decoder, PixelFormat};

use super::coding;
use super::colour;

/// If the image has more pixels than this, the thumbnail is made without the profile. This limits the additional memory
/// for decoding the inks.
pub(super) const MAX_PIXELS: u64 = 24_000_000;

/// Returns the image in sRGB and in this size, or `None` if it is not in CMYK or has no usable profile.
pub(super) fn fitted(jpeg: &[u8], width: u32, height: u32) -> Option<RgbImage> {
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
    // `Resizer::resize` would compile the code of every type of pixel.
    let source = TypedImageRef::<U8x4>::from_buffer(decoded_width.into(), decoded_height.into(), &inks).ok()?;
    let mut resized = TypedImage::<U8x4>::new(width, height);
    let bicubic = ResizeAlg::Convolution(FilterType::CatmullRom);
    // The fourth channel is black ink, not transparency.
    let options = ResizeOptions::new().resize_alg(bicubic).use_alpha(false);
    Resizer::new().resize_typed(&source, &mut resized, &options).ok()?;
    let inks: Vec<u8> = resized.pixels().iter().flat_map(|pixel| pixel.0).collect();
    RgbImage::from_raw(width, height, colour::cmyk_to_srgb(&inks, &profile)?)
}
