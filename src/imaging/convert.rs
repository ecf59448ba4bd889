//! Converts images that were made from a file to sRGB: its thumbnail and previews, and the input of the model if the settings
//! say so. Few pixels are converted, because images are resized before.

use fast_image_resize::ImageView;
use image::RgbImage;
use image::metadata::Orientation;

use super::prepare::decoded_image::{DecodedImage, Pixels};
use super::{Filter, InputColour, Preprocessing, colour, inks, resize};

/// Returns an image of the whole file, in its stored orientation, in sRGB. It stays as it is if the file has no usable profile.
pub(super) fn fitted_to_srgb(small: RgbImage, decoded: &DecodedImage, bytes: &[u8]) -> RgbImage {
    let (format, size) = (decoded.meta.format, small.dimensions());
    let from_inks = inks::to_srgb(bytes, format, size)
        .and_then(|pixels| resize::resize(&pixels, size, Orientation::NoTransforms, Filter::Bicubic).ok());
    from_inks.unwrap_or_else(|| match colour::profile(bytes, format) {
        Some(profile) => colour::to_srgb(small, &profile),
        None => small,
    })
}

/// Returns the square of the model, from an image of the whole file.
pub(super) fn square(decoded: &DecodedImage, bytes: &[u8], preprocessing: Preprocessing) -> Result<RgbImage, String> {
    if preprocessing.colour == InputColour::Srgb {
        let size = match &decoded.pixels {
            Pixels::All(image) => image.dimensions(),
            Pixels::Reduced { image, .. } => (image.width(), image.height()),
        };
        if let Some(pixels) = inks::to_srgb(bytes, decoded.meta.format, size) {
            let DecodedImage { meta, orientation, .. } = *decoded;
            return resize::square(&DecodedImage { pixels, meta, orientation }, preprocessing);
        }
    }
    part_square(decoded, bytes, preprocessing)
}

/// Returns the square of the model, from any part of a file. Inks are converted without their profile.
pub(super) fn part_square(
    decoded: &DecodedImage,
    bytes: &[u8],
    preprocessing: Preprocessing,
) -> Result<RgbImage, String> {
    let profile = match preprocessing.colour {
        InputColour::Reference => None,
        InputColour::Srgb => colour::profile(bytes, decoded.meta.format),
    };
    let convert = |image| match &profile {
        Some(profile) => colour::to_srgb(image, profile),
        None => image,
    };
    resize::converted_square(decoded, preprocessing, &convert)
}
