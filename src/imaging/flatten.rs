//! Converts any pixels to 8-bit RGB, with transparent pixels over white.

use image::{DynamicImage, RgbImage};

/// Scales 16 bits to 8, converts gray to RGB, and composites alpha over white. Without the compositing, the image would
/// show the colour that the writer stored for transparent pixels, which is mostly black.
pub(super) fn over_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    let (width, height) = rgba.dimensions();
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for &[red, green, blue, alpha] in rgba.as_raw().as_chunks::<4>().0 {
        rgb.extend_from_slice(&match alpha {
            255 => [red, green, blue],
            0 => [255; 3],
            _ => [blend(red, alpha), blend(green, alpha), blend(blue, alpha)],
        });
    }
    RgbImage::from_raw(width, height, rgb).unwrap_or_default()
}

/// Returns a value over white.
pub(super) fn blend(colour: u8, alpha: u8) -> u8 {
    let (colour, alpha) = (u32::from(colour), u32::from(alpha));
    let sum = colour * alpha + 255 * (255 - alpha) + 127;
    u8::try_from(sum / 255).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use image::{GrayAlphaImage, ImageBuffer, Luma, LumaA, Rgba, RgbaImage};

    use super::*;

    #[test]
    fn transparent_pixels_become_white() {
        let transparent = RgbaImage::from_pixel(1, 1, Rgba([0, 0, 0, 0]));
        assert_eq!(over_white(transparent.into()).as_raw(), &[255, 255, 255]);
        let half = RgbaImage::from_pixel(1, 1, Rgba([0, 255, 100, 128]));
        assert_eq!(over_white(half.into()).as_raw(), &[127, 255, 177]);
        let gray = GrayAlphaImage::from_pixel(1, 1, LumaA([0, 51]));
        assert_eq!(over_white(gray.into()).as_raw(), &[204; 3]);
    }

    #[test]
    fn depth_and_gray_are_converted() {
        let deep = ImageBuffer::<Luma<u16>, Vec<u16>>::from_pixel(1, 1, Luma([0x80FF]));
        assert_eq!(over_white(deep.into()).as_raw(), &[0x80; 3]);
    }
}
