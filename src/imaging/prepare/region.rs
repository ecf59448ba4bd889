//! A part of an image as the input of the model.

use std::str::FromStr;

use bytes::Bytes;
use image::metadata::Orientation;
use image::{GenericImageView, RgbImage};

use super::decoded_image::{DecodeTarget, DecodedImage, Pixels, upright};
use crate::imaging::facts::header::read_facts;
use crate::imaging::{Decode, ImageError, Limits, PreparedImage, Preprocessing, convert};

/// A part of an upright image. All numbers are shares of its width or height, 0 to 1, from the upper left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The error for numbers that are not a part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must have x, y, width and height from 0 to 1, with width and height above 0, and x + width and y + height at most 1"
)]
pub struct InvalidRegion;

/// Clients round the numbers: this much more than the whole image is allowed.
const TOLERANCE: f64 = 1e-6;

impl Region {
    /// Returns the part with this left and upper edge, width and height.
    ///
    /// # Errors
    /// Fails if it is empty or not within the image.
    pub fn new(x: f64, y: f64, width: f64, height: f64) -> Result<Self, InvalidRegion> {
        let is_within = |from: f64, length: f64| from >= 0.0 && length > 0.0 && from + length <= 1.0 + TOLERANCE;
        if is_within(x, width) && is_within(y, height) { Ok(Self { x, y, width, height }) } else { Err(InvalidRegion) }
    }

    /// Returns the pixels that the region at least partly covers.
    fn cut(self, image: &RgbImage) -> RgbImage {
        let (x, width) = pixels(self.x, self.width, image.width());
        let (y, height) = pixels(self.y, self.height, image.height());
        image.view(x, y, width, height).to_image()
    }
}

/// Returns the first pixel and the number of pixels of a part of a side.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the side")]
fn pixels(from: f64, length: f64, side: u32) -> (u32, u32) {
    let first = ((from * f64::from(side)) as u32).min(side - 1);
    let end = (((from + length) * f64::from(side) - TOLERANCE).ceil() as u32).clamp(first + 1, side);
    (first, end - first)
}

/// Reads `x,y,width,height`.
impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        let numbers: Result<Vec<f64>, _> = text.split(',').map(|number| number.trim().parse()).collect();
        match numbers.as_deref() {
            Ok(&[x, y, width, height]) => Self::new(x, y, width, height),
            _ => Err(InvalidRegion),
        }
    }
}

/// Makes the input of the model from a part of an image, with every pixel of that part.
///
/// # Errors
/// Fails under the same conditions as [`super::prepare`], and if all pixels need more memory than
/// [`Limits::max_decode_bytes`].
pub fn prepare_region(
    bytes: &[u8],
    limits: &Limits,
    preprocessing: &Preprocessing,
    region: Region,
) -> Result<PreparedImage, ImageError> {
    region_size(bytes, limits)?;
    let (image, mut meta) = upright(bytes, limits)?;
    let part = region.cut(&image);
    drop(image);
    (meta.width, meta.height) = part.dimensions();
    let decoded = DecodedImage { pixels: Pixels::All(part), meta, orientation: Orientation::NoTransforms };
    let square = convert::part_square(&decoded, bytes, *preprocessing).map_err(|reason| decoded.corrupt(reason))?;
    Ok(PreparedImage { size: preprocessing.size, rgb: Bytes::from(square.into_raw()) })
}

/// Returns approximately how many bytes [`prepare_region`] will allocate for this file.
///
/// # Errors
/// Fails if the file is not an image or exceeds a limit.
pub fn region_size(bytes: &[u8], limits: &Limits) -> Result<u64, ImageError> {
    let header = read_facts(bytes, limits)?;
    // The upright image is a copy.
    Ok(DecodeTarget::default().required_bytes(bytes, &header, limits, Decode::Full)?.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::Rgb;

    use super::*;
    use crate::imaging::{ImagingSettings, prepare};

    fn region(text: &str) -> Region {
        text.parse().unwrap()
    }

    #[test]
    fn a_region_is_a_part_of_the_image() {
        for text in
            ["", "0,0,1", "0,0,1,1,1", "0,0,0,1", "0,0,1,1.1", "0.6,0,0.5,1", "-0.1,0,0.5,1", "a,0,1,1", "NaN,0,1,1"]
        {
            assert_eq!(text.parse::<Region>(), Err(InvalidRegion), "{text}");
        }
        assert_eq!(region("0.3333333, 0, 0.6666668, 1"), Region::new(0.333_333_3, 0.0, 0.666_666_8, 1.0).unwrap());
        assert_eq!([pixels(0.0, 1.0, 7), pixels(0.25, 0.5, 8), pixels(0.999, 0.001, 10)], [(0, 7), (2, 4), (9, 1)]);
        assert_eq!([pixels(0.1, 0.2, 10), pixels(0.15, 0.2, 10), pixels(1.0, 1e-9, 10)], [(1, 2), (1, 3), (9, 1)]);
    }

    #[test]
    fn the_input_of_a_region_is_that_of_an_image_of_only_this_region() {
        let png = |image: &RgbImage| {
            let mut file = Cursor::new(Vec::new());
            image.write_to(&mut file, image::ImageFormat::Png).unwrap();
            file.into_inner()
        };
        let low_byte = |number: u32| number.to_le_bytes()[0];
        let whole = RgbImage::from_fn(120, 80, |x, y| Rgb([low_byte(2 * x), low_byte(3 * y), low_byte(x ^ y)]));
        let (limits, preprocessing) = (ImagingSettings::default().limits(), Preprocessing::crop(32));
        let got = prepare_region(&png(&whole), &limits, &preprocessing, region("0.25,0.5,0.5,0.5")).unwrap();
        let part = whole.view(30, 40, 60, 40).to_image();
        assert_eq!(got, prepare(&png(&part), &limits, &preprocessing).unwrap().image);
        let all = prepare_region(&png(&whole), &limits, &preprocessing, region("0,0,1,1")).unwrap();
        assert_eq!(all, prepare(&png(&whole), &limits, &preprocessing).unwrap().image);
    }
}
