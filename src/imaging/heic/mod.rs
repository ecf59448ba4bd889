//! Decodes HEIC: the primary image of a HEIF file in HEVC, tile by tile, so that memory is needed only for the result and
//! one tile.
//!
//! `heifer` reads the container and decodes HEVC. The tiles are put together here, because `heifer` keeps the whole image
//! with 32 bits per pixel, and a second one to turn it (ADR 0024). The container says how the image is cropped and turned;
//! an EXIF orientation repeats this and is ignored.

mod colours;
mod means;
mod tiles;

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::RgbImage;
use moxcms::ColorProfile;

use super::ImageError;
use super::canvas::Canvas;
use super::heif::{self, Coding, boxes};
use super::reduced::Reduced;
use crate::imaging::facts::decoded::CodedFacts;

/// Reads the container.
pub(crate) fn read_facts(bytes: &[u8]) -> Result<CodedFacts, ImageError> {
    without_panic(|| Ok(heif::facts(&heif::open(bytes, Coding::Hevc)?.1)))
}

/// Returns the EXIF block of the primary image.
pub(crate) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    without_panic(|| Ok(heif::exif(bytes, Coding::Hevc))).ok().flatten()
}

/// Returns the XMP packet of the primary image.
pub(crate) fn xmp(bytes: &[u8]) -> Option<Vec<u8>> {
    without_panic(|| Ok(heif::xmp(bytes, Coding::Hevc))).ok().flatten()
}

/// Decodes every pixel, cropped but not turned.
pub(crate) fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    decode_to_canvas(bytes, 1, Canvas::finish_whole)
}

/// Decodes the image, cropped but not turned, and replaces each square of `times` x `times` pixels by its mean.
pub(crate) fn decode_reduced(bytes: &[u8], times: u32) -> Result<Reduced, ImageError> {
    decode_to_canvas(bytes, times, Canvas::finish_reduced)
}

/// Returns the colour profile of the decoded pixels, or `None` if they are in sRGB.
pub(crate) fn profile(bytes: &[u8]) -> Option<ColorProfile> {
    let read = || {
        let (file, item) = heif::open(bytes, Coding::Hevc)?;
        Ok(colours::space(&file, &item).profile())
    };
    without_panic(read).ok().flatten()
}

/// Whether all boxes of the file are complete.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    boxes::are_complete(bytes)
}

fn decode_to_canvas<T>(bytes: &[u8], times: u32, finish: fn(Canvas) -> Option<T>) -> Result<T, ImageError> {
    without_panic(|| {
        let (file, item) = heif::open(bytes, Coding::Hevc)?;
        let crop = item.placement.crop;
        let mut canvas = Canvas::new((crop.width, crop.height), times);
        tiles::decode_to_canvas(bytes, &file, &item, &mut canvas)?;
        finish(canvas).ok_or_else(|| corrupt("its pixels have another number than its size requires"))
    })
}

/// Runs `work`. A panic of the decoder is an error of the file.
fn without_panic<T>(work: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(corrupt("its decoder panicked")))
}

fn corrupt(reason: impl Into<String>) -> ImageError {
    Coding::Hevc.corrupt(reason)
}
