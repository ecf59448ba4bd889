//! The images and texts of a calibration: the demo images with their known queries, changed copies of the images, and
//! texts that fit no image.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageError as EncodeError};

use crate::demo;
use crate::imaging::{ImageError, ImagingSettings, PreparedImage, Preprocessing, prepare};

/// Texts that fit no image: strings without a meaning, and abstract matters.
pub(super) const UNRELATED: [&str; 40] = [
    "zzzzzz",
    "quarterly revenue",
    "asdf qwer",
    "the square root of two",
    "lorem ipsum dolor sit amet",
    "error 404",
    "xkjhq wprtz",
    "a non-disclosure agreement",
    "1234567890",
    "the meaning of justice",
    "SELECT * FROM users",
    "tax deductible expenses",
    "blorf gnarp",
    "inflation expectations",
    "!!!???",
    "the day after tomorrow",
    "null pointer exception",
    "constitutional amendment",
    "aaaaaaaa",
    "in accordance with section four",
    "a proof by induction",
    "qqq www eee",
    "interest rate policy",
    "therefore however although",
    "the concept of infinity",
    "https://example.com/index.php?id=7",
    "shareholder meeting minutes",
    "vbnm hjkl",
    "a minor chord",
    "existential philosophy",
    "please find attached",
    "flurbish wexin",
    "median household income",
    "00000",
    "the subjunctive mood",
    "gross domestic product",
    "undefined is not a function",
    "terms and conditions apply",
    "yesterday's opinion",
    "jklö üäß",
];

/// A query and the numbers of the demo images that answer it.
pub(super) struct KnownQuery {
    pub(super) text: String,
    pub(super) answers: Vec<usize>,
}

/// Returns the known queries of the demo images.
pub(super) fn known_queries() -> Vec<KnownQuery> {
    let names: Vec<&str> = demo::images().map(|(name, _)| name).collect();
    let known = demo::queries().into_iter().map(|(text, answers)| KnownQuery {
        text,
        answers: answers.iter().filter_map(|answer| names.iter().position(|name| name == answer)).collect(),
    });
    known.collect()
}

/// An input of the image tower: a demo image, or a changed copy of one.
pub(super) struct Input {
    /// The number of the demo image.
    pub(super) image: usize,
    pub(super) is_copy: bool,
    pub(super) prepared: PreparedImage,
}

/// Why the images of the calibration cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("a built-in image cannot be prepared")]
    Prepare(#[from] ImageError),
    #[error("a copy of a built-in image cannot be made")]
    Copy(#[from] EncodeError),
}

/// Returns the demo images and their copies, prepared for a provider. Takes some tenths of a second.
pub(super) fn images(preprocessing: Preprocessing) -> Result<Vec<Input>, InputError> {
    let limits = ImagingSettings::default().limits();
    let mut inputs = Vec::new();
    for (number, (_, bytes)) in demo::images().enumerate() {
        let prepared = prepare(bytes, &limits, &preprocessing)?.image;
        inputs.push(Input { image: number, is_copy: false, prepared });
        for copy in copies(bytes)? {
            let prepared = prepare(&copy, &limits, &preprocessing)?.image;
            inputs.push(Input { image: number, is_copy: true, prepared });
        }
    }
    Ok(inputs)
}

/// Returns copies of an image as they are found in collections: cropped, mirrored, compressed, reduced, and all of it.
fn copies(bytes: &[u8]) -> Result<[Vec<u8>; 5], EncodeError> {
    let image = image::load_from_memory(bytes)?;
    let third = image.resize_exact(image.width() / 3, image.height() / 3, FilterType::CatmullRom);
    Ok([
        jpeg(&centre(&image, 80), 90)?,
        jpeg(&image.fliph(), 90)?,
        jpeg(&image, 30)?,
        jpeg(&third, 90)?,
        jpeg(&centre(&image.fliph(), 90), 60)?,
    ])
}

/// Returns the centre, with this percentage of each side.
fn centre(image: &DynamicImage, percent: u32) -> DynamicImage {
    let [width, height] = [image.width(), image.height()].map(|side| (side * percent / 100).max(1));
    image.crop_imm((image.width() - width) / 2, (image.height() - height) / 2, width, height)
}

fn jpeg(image: &DynamicImage, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Cursor::new(Vec::new());
    image.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_query_has_an_answer() {
        let known = known_queries();
        assert_eq!(known.len(), 49);
        assert!(known.iter().all(|query| !query.answers.is_empty()));
    }

    #[test]
    fn every_image_has_five_copies() {
        let inputs = images(Preprocessing::crop(32)).unwrap();
        assert_eq!((inputs.len(), inputs.iter().filter(|input| input.is_copy).count()), (26 * 6, 26 * 5));
        assert!(inputs.iter().all(|input| input.prepared.rgb.len() == 32 * 32 * 3));
    }
}
