//! Still WebP pictures by libwebp, in half of the time that the decoder in Rust takes (ADR 0006). That one reads animations,
//! and says what is wrong with what libwebp refuses.

use image::{DynamicImage, RgbImage, RgbaImage};
use webp::{Decoder, PixelLayout};

/// `None` where it is animated, cut or broken.
pub(super) fn decode(bytes: &[u8]) -> Option<DynamicImage> {
    let picture = Decoder::new(bytes).decode()?;
    let (width, height, pixels) = (picture.width(), picture.height(), picture.to_vec());
    match picture.layout() {
        PixelLayout::Rgb => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        PixelLayout::Rgba => RgbaImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgba8),
    }
}
