//! Decodes HEIC: the primary image of a HEIF file in HEVC, tile by tile, so that memory is needed only for the result and
//! one tile.
//!
//! `heifer` reads the container and decodes HEVC. The tiles are put together here, because `heifer` keeps the whole image
//! with 32 bits per pixel, and a second one to turn it (ADR 0024). The container says how the image is cropped and turned;
//! an EXIF orientation repeats this and is ignored.

mod boxes;
mod colours;
mod item;
mod tiles;
mod turn;

use std::panic::{AssertUnwindSafe, catch_unwind};

use heifer::heifer_isobmff::HeifFile;
use image::RgbImage;
use image::metadata::Orientation;
use moxcms::ColorProfile;

use super::ImageError;
use super::canvas::Canvas;
use super::colour;
use super::reduced::Reduced;
use crate::domain::ImageFormat;
use colours::ColourSpace;
use item::Item;
use turn::Crop;

/// What the container says about the primary image.
pub(crate) struct HeicFacts {
    /// Width and height after cropping and before turning.
    pub(crate) size: (u32, u32),
    pub(crate) turn: Orientation,
    /// Bytes that are allocated while tiles are decoded, without the result.
    pub(crate) tile_bytes: u64,
}

/// Reads the container.
pub(crate) fn read_facts(bytes: &[u8]) -> Result<HeicFacts, ImageError> {
    without_panic(|| {
        let item = open(bytes)?.1;
        let Crop { width, height, .. } = item.placement.crop;
        Ok(HeicFacts { size: (width, height), turn: item.placement.orientation(), tile_bytes: item.tile_bytes() })
    })
}

/// Returns the EXIF block of the primary image.
pub(crate) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    let read = || {
        let file = open(bytes)?.0;
        Ok(file.exif(file.primary_id).ok().flatten())
    };
    without_panic(read).ok().flatten()
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
        let (file, item) = open(bytes)?;
        Ok(match ColourSpace::read(&file, &item) {
            ColourSpace::Icc(icc) => colour::parse(icc),
            ColourSpace::Coded { primaries, transfer } => colour::cicp_profile(primaries, transfer),
            ColourSpace::Hdr(_) | ColourSpace::Srgb => None,
        })
    };
    without_panic(read).ok().flatten()
}

/// Whether all boxes of the file are complete.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    boxes::are_complete(bytes)
}

fn decode_to_canvas<T>(bytes: &[u8], times: u32, finish: fn(Canvas) -> Option<T>) -> Result<T, ImageError> {
    without_panic(|| {
        let (file, item) = open(bytes)?;
        let crop = item.placement.crop;
        let mut canvas = Canvas::new((crop.width, crop.height), times);
        tiles::each_row(bytes, &file, &item, |x, y, rgb| {
            // Pixels left of the crop are dropped here, all others outside of it by the canvas.
            let (left, top) = (crop.left as usize, crop.top as usize);
            let skipped = left.saturating_sub(x).min(rgb.len() / 3);
            if let Some(y) = y.checked_sub(top) {
                canvas.put((x + skipped).saturating_sub(left), y, &rgb[skipped * 3..]);
            }
        })?;
        finish(canvas).ok_or_else(|| corrupt("its pixels have another number than its size requires"))
    })
}

fn open(bytes: &[u8]) -> Result<(HeifFile<'_>, Item), ImageError> {
    boxes::check(bytes)?;
    let file = HeifFile::parse(bytes).map_err(|error| container_error(bytes, &error))?;
    let item = Item::read(bytes, &file)?;
    Ok((file, item))
}

/// Runs `work`. A panic of the decoder is an error of the file.
fn without_panic<T>(work: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(corrupt("its decoder panicked")))
}

fn container_error(bytes: &[u8], error: &heifer::heifer_isobmff::Error) -> ImageError {
    if boxes::are_complete(bytes) { corrupt(error.to_string()) } else { ImageError::truncated(ImageFormat::Heic) }
}

fn corrupt(reason: impl Into<String>) -> ImageError {
    ImageError::corrupt(ImageFormat::Heic, reason)
}
