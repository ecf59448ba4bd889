//! Resizes an image of any size to the model's square: crops, squashes or pads, with the filters of Pillow.

mod axis;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ImageView, PixelTrait, ResizeAlg, ResizeOptions};
use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, Rgb, RgbImage};
use resample::Resample;

use crate::imaging::prepare::decoded_image::{DecodedImage, Pixels};
use crate::imaging::{Filter, Preprocessing, Resize};
use axis::{Axis, Fraction, Rounding, Target};

/// Returns the model's upright square.
pub(crate) fn square(decoded: &DecodedImage, preprocessing: Preprocessing) -> Result<RgbImage, String> {
    converted_square(decoded, preprocessing, &|image| image)
}

/// Returns the model's upright square, with its colours converted by `convert`, which keeps the size.
///
/// The colours are converted and the orientation is applied in the small square, which is much cheaper than in the whole
/// image.
pub(crate) fn converted_square(
    decoded: &DecodedImage,
    preprocessing: Preprocessing,
    convert: &dyn Fn(RgbImage) -> RgbImage,
) -> Result<RgbImage, String> {
    let crop = |rounding| crop(decoded, preprocessing, rounding, convert);
    match preprocessing.resize {
        Resize::Crop => crop(Rounding { length: Fraction::Rounded, cut: Fraction::Dropped }),
        Resize::CropFloor => crop(Rounding { length: Fraction::Dropped, cut: Fraction::Dropped }),
        Resize::CropEven => crop(Rounding { length: Fraction::Dropped, cut: Fraction::Rounded }),
        Resize::Squash => squash(decoded, preprocessing, convert),
        Resize::Pad(colour) => pad(decoded, preprocessing, colour, convert),
    }
}

/// Crops at the place where the upright image would be cropped.
fn crop(
    decoded: &DecodedImage,
    preprocessing: Preprocessing,
    rounding: Rounding,
    convert: &dyn Fn(RgbImage) -> RgbImage,
) -> Result<RgbImage, String> {
    let Preprocessing { size, edge, filter, .. } = preprocessing;
    let (DecodedImage { pixels, orientation, .. }, (width, height)) = (decoded, decoded.size());
    let shortest = width.min(height);
    let (from_right, from_bottom) = mirrored(*orientation);
    let plan = |side, mirrored| Axis::plan(side, shortest, Target { size, edge }, rounding, mirrored);
    let (x, y) = (plan(width, from_right), plan(height, from_bottom));
    let whole = (x.length, y.length) == (width, height);
    let part = match pixels {
        Pixels::All(image) if !whole => Some(Pixels::All(image.view(x.from, y.from, x.length, y.length).to_image())),
        Pixels::All(_) | Pixels::Reduced { .. } => None,
    };
    let resized = resize(part.as_ref().unwrap_or(pixels), (x.resized, y.resized), *orientation, filter)?;
    let mut square = DynamicImage::ImageRgb8(convert(cut(&resized, (x.cut, y.cut), size)));
    square.apply_orientation(*orientation);
    Ok(square.into_rgb8())
}

/// Cuts a square out, line by line: `crop_imm` copies pixel by pixel.
fn cut(image: &RgbImage, (left, top): (u32, u32), size: u32) -> RgbImage {
    let mut square = RgbImage::new(size, size);
    let (stride, from, line) = (image.width() as usize * 3, left as usize * 3, size as usize * 3);
    for (y, out) in square.chunks_exact_mut(line.max(1)).enumerate() {
        let start = (top as usize + y) * stride + from;
        out.copy_from_slice(&image.as_raw()[start..start + line]);
    }
    square
}

/// Resizes both sides to the side of the square.
fn squash(
    decoded: &DecodedImage,
    Preprocessing { size, filter, .. }: Preprocessing,
    convert: &dyn Fn(RgbImage) -> RgbImage,
) -> Result<RgbImage, String> {
    let resized = resize(&decoded.pixels, (size, size), decoded.orientation, filter)?;
    let mut square = DynamicImage::ImageRgb8(convert(resized));
    square.apply_orientation(decoded.orientation);
    Ok(square.into_rgb8())
}

/// Puts the whole image in the middle. If the middle is between two pixels, the image is further left and further up.
fn pad(
    decoded: &DecodedImage,
    preprocessing: Preprocessing,
    colour: [u8; 3],
    convert: &dyn Fn(RgbImage) -> RgbImage,
) -> Result<RgbImage, String> {
    let Preprocessing { size, filter, .. } = preprocessing;
    let mut fitted = DynamicImage::ImageRgb8(convert(fitted(decoded, size, filter)?));
    fitted.apply_orientation(decoded.orientation);
    let (left, top) = ((size - fitted.width()) / 2, (size - fitted.height()) / 2);
    let mut square = RgbImage::from_pixel(size, size, Rgb(colour));
    image::imageops::replace(&mut square, &fitted.into_rgb8(), left.into(), top.into());
    Ok(square)
}

/// Resizes the longer side to `size`. The other side keeps the aspect ratio, rounded half to even, and is at least 1.
pub(crate) fn fitted(decoded: &DecodedImage, size: u32, filter: Filter) -> Result<RgbImage, String> {
    let (width, height) = decoded.size();
    let longest = f64::from(width.max(height));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `size`")]
    let side = |side: u32| (f64::from(side) * f64::from(size) / longest).round_ties_even().max(1.0) as u32;
    resize(&decoded.pixels, (side(width), side(height)), decoded.orientation, filter)
}

/// Resizes the whole image.
pub(crate) fn resize(
    pixels: &Pixels,
    (width, height): (u32, u32),
    orientation: Orientation,
    filter: Filter,
) -> Result<RgbImage, String> {
    let to = Upright { size: (width, height), orientation, filter };
    let resized = match pixels {
        Pixels::All(image) => {
            let source = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw());
            let source = source.map_err(|error| error.to_string())?;
            let extent = (f64::from(image.width()), f64::from(image.height()));
            samples(&resize_in_order(&source, extent, to)?).to_vec()
        }
        Pixels::Reduced { image, extent } => to_bytes(samples(&resize_in_order(&reference(image)?, *extent, to)?)),
    };
    RgbImage::from_raw(width, height, resized)
        .ok_or_else(|| "the resizer returned another size than requested".to_owned())
}

fn samples<'a, P: PixelTrait>(image: &'a TypedImage<'_, P>) -> &'a [P::Component] {
    P::components(image.pixels())
}

fn reference<'a, P: PixelTrait>(image: &'a TypedImage<'_, P>) -> Result<TypedImageRef<'a, P>, String> {
    TypedImageRef::new(image.width(), image.height(), image.pixels()).map_err(|error| error.to_string())
}

/// Rounds samples of 16 bits to 8.
fn to_bytes(samples: &[u16]) -> Vec<u8> {
    let mut bytes = vec![0; samples.len()];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = samples[at].saturating_add(128).to_be_bytes()[0];
    }
    bytes
}

/// The size, orientation and filter of a resize.
#[derive(Clone, Copy)]
struct Upright {
    size: (u32, u32),
    orientation: Orientation,
    filter: Filter,
}

/// Resizes first across and then down, in upright orientation, as Pillow does. The order matters: between the two
/// steps, values are rounded and clamped to bytes, so at hard edges the other order gives a different image.
fn resize_in_order<P: Resample>(
    source: &TypedImageRef<'_, P>,
    (wide, high): (f64, f64),
    Upright { size: (width, height), orientation, filter }: Upright,
) -> Result<TypedImage<'static, P>, String> {
    if orientation.to_exif() < 5 {
        let intermediate =
            resize_one_side(source, (wide, f64::from(source.height())), (width, source.height()), filter)?;
        resize_one_side(&reference(&intermediate)?, (f64::from(width), high), (width, height), filter)
    } else {
        let intermediate =
            resize_one_side(source, (f64::from(source.width()), high), (source.width(), height), filter)?;
        resize_one_side(&reference(&intermediate)?, (wide, f64::from(height)), (width, height), filter)
    }
}

/// Resizes one side. A call for both sides at once would resize down first.
///
/// The extent `(wide, high)` is the whole source except for a fraction of its last pixels. It is never another part of
/// the source: see [`Axis`].
fn resize_one_side<P: Resample>(
    source: &TypedImageRef<'_, P>,
    (wide, high): (f64, f64),
    (width, height): (u32, u32),
    filter: Filter,
) -> Result<TypedImage<'static, P>, String> {
    let options = ResizeOptions::new().resize_alg(algorithm(filter)).crop(0.0, 0.0, wide, high);
    P::resample(source, (width, height), &options).map_err(|error| error.to_string())
}

/// Returns the algorithm that gives the result of Pillow. A convolution widens its filter when the image gets smaller.
fn algorithm(filter: Filter) -> ResizeAlg {
    ResizeAlg::Convolution(match filter {
        Filter::Nearest => return ResizeAlg::Nearest,
        Filter::Lanczos => FilterType::Lanczos3,
        Filter::Bilinear => FilterType::Bilinear,
        // The cubic with a = -0.5.
        Filter::Bicubic => FilterType::CatmullRom,
        Filter::Box => FilterType::Box,
        Filter::Hamming => FilterType::Hamming,
    })
}

/// Returns whether the left edge of the stored image is the far edge (right or bottom) of the upright image on that
/// axis, and the same for the top edge.
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
