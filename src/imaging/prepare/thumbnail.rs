//! Makes a small JPEG of an image: upright, in sRGB and without metadata, so that it does not reveal where the image
//! was taken.

use bytes::Bytes;
use image::DynamicImage;
use jpeg_encoder::{ColorType, Encoder};

use super::decoded_image::{DecodeTarget, DecodedImage, Pixels};
use crate::imaging::facts::header::read_facts;
use crate::imaging::{Decode, Filter, ImageError, Limits, convert, resize};

/// Side in pixels of the square that a thumbnail fits into.
pub const THUMBNAIL_SIDE: u32 = 256;

/// At 256 pixels there is no visible difference from quality 90, and the file has two thirds of the size.
const QUALITY: u8 = 80;

/// Returns the thumbnail of a file: a JPEG of at most 256 x 256 pixels. A smaller image is not enlarged.
///
/// # Errors
/// Returns an [`ImageError`] that says what is wrong with the image.
pub fn thumbnail(bytes: &[u8], limits: &Limits) -> Result<Bytes, ImageError> {
    preview(bytes, limits, THUMBNAIL_SIDE)
}

/// Returns a file as a JPEG of at most `side` x `side` pixels: upright, in sRGB, without metadata. A smaller image is not
/// enlarged.
///
/// # Errors
/// Returns an [`ImageError`] that says what is wrong with the image.
pub fn preview(bytes: &[u8], limits: &Limits, side: u32) -> Result<Bytes, ImageError> {
    from_decoded(&DecodedImage::decode(bytes, limits, fitting(side), Decode::Fast)?, bytes, side)
}

/// Returns approximately how many bytes [`preview`] will allocate for this file.
///
/// # Errors
/// Returns an [`ImageError`] if the file is not an image, if its header is truncated or inconsistent, or if a limit is
/// exceeded.
pub fn preview_size(bytes: &[u8], limits: &Limits, side: u32) -> Result<u64, ImageError> {
    /// Bytes per pixel of the result: RGB, upright, and encoded.
    const BYTES_PER_PIXEL: u64 = 3 + 3 + 1;
    let decoded = fitting(side).required_bytes(bytes, &read_facts(bytes, limits)?, limits, Decode::Fast)?;
    Ok(decoded.saturating_add(u64::from(side) * u64::from(side) * BYTES_PER_PIXEL))
}

fn fitting(side: u32) -> DecodeTarget {
    DecodeTarget { model: None, fitted: Some(side) }
}

/// Makes the JPEG of a decoded image. `bytes` is the file that it was decoded from.
pub(crate) fn from_decoded(decoded: &DecodedImage, bytes: &[u8], side: u32) -> Result<Bytes, ImageError> {
    let small = match &decoded.pixels {
        Pixels::All(image) if image.width().max(image.height()) <= side => image.clone(),
        Pixels::All(_) | Pixels::Reduced { .. } => {
            resize::fitted(decoded, side, Filter::Bicubic).map_err(|reason| decoded.corrupt(reason))?
        }
    };
    let small = convert::fitted_to_srgb(small, decoded, bytes);
    let mut small = DynamicImage::ImageRgb8(small);
    small.apply_orientation(decoded.orientation);
    let mut jpeg = Vec::new();
    let small = small.into_rgb8();
    let [width, height] = [small.width(), small.height()].map(|side| u16::try_from(side).unwrap_or(u16::MAX));
    let encoded = Encoder::new(&mut jpeg, QUALITY).encode(&small, width, height, ColorType::Rgb);
    encoded.map_err(|error| decoded.corrupt(error.to_string()))?;
    Ok(jpeg.into())
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::metadata::Orientation;
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::imaging::ImagingSettings;
    use crate::imaging::prepare::decoded_image::whole;

    fn encode_jpeg(image: &RgbImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 95)).unwrap();
        bytes
    }

    #[test]
    fn a_thumbnail_fits_the_square_keeps_the_shape_and_is_not_enlarged() {
        let limits = ImagingSettings::default().limits();
        for ((width, height), expected) in
            [((600, 300), (256, 128)), ((300, 601), (128, 256)), ((100, 40), (100, 40)), ((3000, 2), (256, 1))]
        {
            let file = encode_jpeg(&RgbImage::from_pixel(width, height, Rgb([200, 30, 30])));
            let small = image::load_from_memory(&thumbnail(&file, &limits).unwrap()).unwrap().into_rgb8();
            assert_eq!(small.dimensions(), expected);
            let middle = small.get_pixel(expected.0 / 2, expected.1 / 2);
            assert!(middle.0[0].abs_diff(200) < 6 && middle.0[1].abs_diff(30) < 6, "{middle:?}");
        }
    }

    #[test]
    fn a_thumbnail_is_upright() {
        let mut image = RgbImage::from_pixel(40, 20, Rgb([250, 250, 250]));
        for (x, y) in (0..10).flat_map(|x| (0..10).map(move |y| (x, y))) {
            image.put_pixel(x, y, Rgb([0, 0, 0]));
        }
        // The orientation moves the stored top left corner to the top right.
        let small = from_decoded(&whole(&image, Orientation::Rotate90), b"", THUMBNAIL_SIDE).unwrap();
        let small = image::load_from_memory(&small).unwrap().into_luma8();
        assert_eq!(small.dimensions(), (20, 40));
        assert!(small.get_pixel(15, 4).0[0] < 60 && small.get_pixel(4, 35).0[0] > 200);
    }
}
