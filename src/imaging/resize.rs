//! From any size to the model's square: shortest side to the square's, antialiased bicubic, centre crop.
//!
//! The rule (`resize_rule` of the model's card) is: resize the whole picture, then cut. Here the resizer is given
//! the part of the source that the square will show, with fractions of pixels, and its filter still reads
//! over that part's edges: the same numbers, without ever holding the whole resized picture. A strip of 1 x 5000
//! would be 260 x 1,300,000 resized.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{CropBox, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, SrcCropping};
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

/// The upright square of `size` pixels of a picture that is stored turned by `orientation`.
///
/// Turning the small square costs nothing beside turning the picture; the cut is made where it would be made upright.
pub(super) fn square(picture: &RgbImage, orientation: Orientation, size: u32) -> Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    let turned = orientation.to_exif() >= 5;
    let upright = if turned { cut(height, width, size) } else { cut(width, height, size) };
    let place = stored(upright, orientation, f64::from(width), f64::from(height));
    // CatmullRom is the cubic with a = -0.5, and convolution widens it when the picture shrinks: Pillow's BICUBIC.
    let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    options.cropping = SrcCropping::Crop(place);
    let source = ImageRef::new(width, height, picture.as_raw(), PixelType::U8x3).map_err(|e| e.to_string())?;
    let mut small = Image::new(size, size, PixelType::U8x3);
    Resizer::new().resize(&source, &mut small, &options).map_err(|e| e.to_string())?;
    let small = RgbImage::from_raw(size, size, small.into_vec()).ok_or("the resizer gave another size")?;
    let mut small = DynamicImage::ImageRgb8(small);
    small.apply_orientation(orientation);
    Ok(small.into_rgb8())
}

/// The part of an upright `width` x `height` picture that the square shows, in its own pixels.
fn cut(width: u32, height: u32, size: u32) -> CropBox {
    let shortest = width.min(height);
    let (wide, high) = (scaled(width, shortest, size), scaled(height, shortest, size));
    let along = |side: u32, resized: u64| {
        let scale = f64::from(side) / precise(resized);
        (precise((resized - u64::from(size)) / 2) * scale, f64::from(size) * scale)
    };
    let ((left, width), (top, height)) = (along(width, wide), along(height, high));
    CropBox { left, top, width, height }
}

/// `side * target / shortest`, halves to the even number, at least `target`.
fn scaled(side: u32, shortest: u32, target: u32) -> u64 {
    let (product, shortest) = (u64::from(side) * u64::from(target), u64::from(shortest));
    let (whole, twice_rest) = (product / shortest, product % shortest * 2);
    let up = twice_rest > shortest || (twice_rest == shortest && whole % 2 == 1);
    (whole + u64::from(up)).max(u64::from(target))
}

#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^52")]
fn precise(side: u64) -> f64 {
    side as f64
}

/// Where an upright box lies in the picture as it is stored, `width` x `height`.
fn stored(upright: CropBox, orientation: Orientation, width: f64, height: f64) -> CropBox {
    use Orientation::{FlipHorizontal, FlipVertical, Rotate90, Rotate90FlipH, Rotate180, Rotate270, Rotate270FlipH};
    let turned = orientation.to_exif() >= 5;
    let place = if turned {
        CropBox { left: upright.top, top: upright.left, width: upright.height, height: upright.width }
    } else {
        upright
    };
    let from_right = matches!(orientation, FlipHorizontal | Rotate180 | Rotate270 | Rotate270FlipH);
    let from_bottom = matches!(orientation, FlipVertical | Rotate180 | Rotate90 | Rotate270FlipH);
    debug_assert!(orientation != Rotate90FlipH || (!from_right && !from_bottom), "a transposition mirrors nothing");
    let flip = |near: f64, length: f64, side: f64, mirrored: bool| {
        let near = if mirrored { side - near - length } else { near };
        // Fractions may put the far edge a hair outside, which the resizer refuses.
        let near = near.clamp(0.0, side);
        (near, length.min(side - near))
    };
    let (left, wide) = flip(place.left, place.width, width, from_right);
    let (top, high) = flip(place.top, place.height, height, from_bottom);
    CropBox { left, top, width: wide, height: high }
}

#[cfg(test)]
#[path = "resize_tests.rs"]
mod tests;
