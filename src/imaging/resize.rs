//! From any size to the model's square: shortest side to the square's, antialiased bicubic, centre crop.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, Rgb, RgbImage};

use super::axis::{Axis, Fraction};
use super::{Preprocessing, Resize};

/// The model's upright square of a picture that is stored turned by `orientation`.
///
/// Turning the small square costs nothing beside turning the picture.
pub(super) fn square(
    picture: &RgbImage,
    orientation: Orientation,
    preprocessing: Preprocessing,
) -> Result<RgbImage, String> {
    match preprocessing.resize {
        Resize::Crop => cropped(picture, orientation, preprocessing.size, Fraction::Rounded),
        Resize::CropFloor => cropped(picture, orientation, preprocessing.size, Fraction::Dropped),
        Resize::Pad(colour) => padded(picture, orientation, preprocessing.size, colour),
    }
}

/// The cut is made where it would be made upright.
fn cropped(picture: &RgbImage, orientation: Orientation, size: u32, fraction: Fraction) -> Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    let shortest = width.min(height);
    let (from_right, from_bottom) = mirrored(orientation);
    let plan = |side, mirrored| Axis::plan(side, shortest, size, fraction, mirrored);
    let (x, y) = (plan(width, from_right), plan(height, from_bottom));
    let whole = (x.length, y.length) == (width, height);
    let part = (!whole).then(|| picture.view(x.from, y.from, x.length, y.length).to_image());
    let resized = resize(part.as_ref().unwrap_or(picture), x.resized, y.resized, orientation)?;
    let mut square = DynamicImage::ImageRgb8(resized).crop_imm(x.cut, y.cut, size, size);
    square.apply_orientation(orientation);
    Ok(square.into_rgb8())
}

/// In the middle; where that is between two pixels, further left and further up.
fn padded(picture: &RgbImage, orientation: Orientation, size: u32, colour: [u8; 3]) -> Result<RgbImage, String> {
    let mut fitted = DynamicImage::ImageRgb8(fitted(picture, size, orientation)?);
    fitted.apply_orientation(orientation);
    let (left, top) = ((size - fitted.width()) / 2, (size - fitted.height()) / 2);
    let mut square = RgbImage::from_pixel(size, size, Rgb(colour));
    image::imageops::replace(&mut square, &fitted.into_rgb8(), left.into(), top.into());
    Ok(square)
}

/// The picture with its longer side at `size`; the other one keeps the shape, rounded half to even, and at least 1.
pub(super) fn fitted(picture: &RgbImage, size: u32, orientation: Orientation) -> Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    let longest = f64::from(width.max(height));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no more than size")]
    let side = |side: u32| (f64::from(side) * f64::from(size) / longest).round_ties_even().max(1.0) as u32;
    resize(picture, side(width), side(height), orientation)
}

/// The whole picture to another size. Never a part of it by a crop box: see [`Axis`].
///
/// What is upright is resized across first and then down, as Pillow does it: between the two, values are rounded and
/// clamped to bytes, and where edges are hard the other order gives another picture.
fn resize(picture: &RgbImage, width: u32, height: u32, orientation: Orientation) -> Result<RgbImage, String> {
    let half_way = if orientation.to_exif() < 5 { (width, picture.height()) } else { (picture.width(), height) };
    along_one(&along_one(picture, half_way.0, half_way.1)?, width, height)
}

/// Both sides at once would be resized down first.
fn along_one(picture: &RgbImage, width: u32, height: u32) -> Result<RgbImage, String> {
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
