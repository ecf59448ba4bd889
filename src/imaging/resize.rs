//! From any size to the model's square: shortest side to the square's, antialiased bicubic, centre crop.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, RgbImage};

use super::axis::Axis;

/// The upright square of `size` pixels of a picture that is stored turned by `orientation`.
///
/// Turning the small square costs nothing beside turning the picture; the cut is made where it would be made upright.
pub(super) fn square(picture: &RgbImage, orientation: Orientation, size: u32) -> Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    let shortest = width.min(height);
    let (from_right, from_bottom) = mirrored(orientation);
    let (x, y) = (Axis::plan(width, shortest, size, from_right), Axis::plan(height, shortest, size, from_bottom));
    let whole = (x.length, y.length) == (width, height);
    let part = (!whole).then(|| picture.view(x.from, y.from, x.length, y.length).to_image());
    let resized = resize(part.as_ref().unwrap_or(picture), x.resized, y.resized)?;
    let mut square = DynamicImage::ImageRgb8(resized).crop_imm(x.cut, y.cut, size, size);
    square.apply_orientation(orientation);
    Ok(square.into_rgb8())
}

/// The whole picture to another size. Never a part of it by a crop box: see [`Axis`].
fn resize(picture: &RgbImage, width: u32, height: u32) -> Result<RgbImage, String> {
    let source = ImageRef::new(picture.width(), picture.height(), picture.as_raw(), PixelType::U8x3);
    let source = source.map_err(|error| error.to_string())?;
    let mut resized = Image::new(width, height, PixelType::U8x3);
    // CatmullRom is the cubic with a = -0.5, and convolution widens it when the picture shrinks: Pillow's BICUBIC.
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut resized, &options).map_err(|error| error.to_string())?;
    RgbImage::from_raw(width, height, resized.into_vec()).ok_or_else(|| "the resizer gave another size".to_owned())
}

/// Whether the stored picture's left is the upright one's far side along that axis, and the same of its top.
fn mirrored(orientation: Orientation) -> (bool, bool) {
    use Orientation::{
        FlipHorizontal, FlipVertical, NoTransforms, Rotate90, Rotate90FlipH, Rotate180, Rotate270, Rotate270FlipH,
    };
    match orientation {
        NoTransforms | Rotate90FlipH => (false, false),
        FlipHorizontal | Rotate270 => (true, false),
        FlipVertical | Rotate90 => (false, true),
        Rotate180 | Rotate270FlipH => (true, true),
    }
}

#[cfg(test)]
#[path = "resize_tests.rs"]
mod tests;
