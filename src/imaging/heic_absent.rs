//! Stands for the decoder of HEIC in a build without the feature `heic`: every image is refused by name.

use image::RgbImage;
use image::metadata::Orientation;
use moxcms::ColorProfile;

use super::ImageError;
use super::reduced::Reduced;

pub(crate) struct HeicFacts {
    pub(crate) size: (u32, u32),
    pub(crate) turn: Orientation,
    pub(crate) tile_bytes: u64,
}

pub(crate) fn read_facts(_: &[u8]) -> Result<HeicFacts, ImageError> {
    Err(ABSENT)
}

pub(crate) fn decode(_: &[u8]) -> Result<RgbImage, ImageError> {
    Err(ABSENT)
}

pub(crate) fn decode_reduced(_: &[u8], _: u32) -> Result<Reduced, ImageError> {
    Err(ABSENT)
}

pub(crate) fn exif(_: &[u8]) -> Option<Vec<u8>> {
    None
}

pub(crate) fn profile(_: &[u8]) -> Option<ColorProfile> {
    None
}

pub(crate) fn is_complete(_: &[u8]) -> bool {
    false
}

const ABSENT: ImageError = ImageError::NotBuiltIn { name: "HEIC", feature: "heic" };
