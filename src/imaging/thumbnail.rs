//! A small JPEG of a picture, upright, without any metadata: where a photograph was taken must not leak.

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::{ImageError, Limits, prepare, resize};

/// Side of the square that a thumbnail fits into, in pixels.
pub const THUMBNAIL_SIDE: u32 = 256;

/// At 256 pixels nobody sees a difference to 90, and it has two thirds of the bytes.
const QUALITY: u8 = 80;

/// The thumbnail of a file: a JPEG of at most 256 x 256 pixels, never enlarged.
///
/// # Errors
/// [`ImageError`]: what is wrong with the picture.
pub fn thumbnail(bytes: &[u8], limits: &Limits) -> Result<Bytes, ImageError> {
    let (picture, meta) = prepare::decoded(bytes, limits)?;
    let orientation = Orientation::from_exif(meta.orientation).unwrap_or(Orientation::NoTransforms);
    of_decoded(&picture, orientation).map_err(|reason| ImageError::corrupt(meta.format, reason))
}

/// The thumbnail of a picture that is stored turned by `orientation`.
pub(super) fn of_decoded(picture: &RgbImage, orientation: Orientation) -> Result<Bytes, String> {
    let small = if picture.width().max(picture.height()) <= THUMBNAIL_SIDE {
        picture.clone()
    } else {
        resize::fitted(picture, THUMBNAIL_SIDE, orientation)?
    };
    let mut small = DynamicImage::ImageRgb8(small);
    small.apply_orientation(orientation);
    let mut jpeg = Vec::new();
    small.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY)).map_err(|error| error.to_string())?;
    Ok(jpeg.into())
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::imaging::ImagingSettings;

    fn jpeg_of(picture: &RgbImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 95)).unwrap();
        bytes
    }

    #[test]
    fn fits_the_square_keeps_the_shape_and_is_never_enlarged() {
        let limits = ImagingSettings::default().limits();
        for ((width, height), expected) in
            [((600, 300), (256, 128)), ((300, 601), (128, 256)), ((100, 40), (100, 40)), ((3000, 2), (256, 1))]
        {
            let file = jpeg_of(&RgbImage::from_pixel(width, height, Rgb([200, 30, 30])));
            let small = image::load_from_memory(&thumbnail(&file, &limits).unwrap()).unwrap().into_rgb8();
            assert_eq!(small.dimensions(), expected);
            let middle = small.get_pixel(expected.0 / 2, expected.1 / 2);
            assert!(middle.0[0].abs_diff(200) < 6 && middle.0[1].abs_diff(30) < 6, "{middle:?}");
        }
    }

    #[test]
    fn is_upright() {
        let mut picture = RgbImage::from_pixel(40, 20, Rgb([250, 250, 250]));
        for (x, y) in (0..10).flat_map(|x| (0..10).map(move |y| (x, y))) {
            picture.put_pixel(x, y, Rgb([0, 0, 0]));
        }
        // Stored so that its left top belongs to the right top.
        let small = of_decoded(&picture, Orientation::Rotate90).unwrap();
        let small = image::load_from_memory(&small).unwrap().into_luma8();
        assert_eq!(small.dimensions(), (20, 40));
        assert!(small.get_pixel(15, 4).0[0] < 60 && small.get_pixel(4, 35).0[0] > 200);
    }
}
