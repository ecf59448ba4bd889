//! AVIF: the primary image of a HEIF file in AV1. The container and the sequence header are read here; the pixels are decoded
//! in the helper process (`isolated`), because the decoder `re_rav1d` contains `unsafe` code (ADR 0025).

mod frame;
mod sequence;
mod tiles;
mod yuv;

use std::panic::{AssertUnwindSafe, catch_unwind};

use heifer_isobmff::{HeifFile, ItemId};
use image::RgbImage;
use moxcms::ColorProfile;

use super::ImageError;
use super::canvas::Canvas;
use super::heif::colours::{Coded, ColourSpace, NOT_SPECIFIED};
use super::heif::item::Item;
use super::heif::{self, Coding, boxes, item_data};
use super::isolated::{self, IsolatedFormat};
use super::reduced::Reduced;
use crate::imaging::facts::decoded::CodedFacts;
use sequence::Sequence;

/// Reads the container, and compares the sizes in the AV1 headers with those that it declares.
pub(crate) fn read_facts(bytes: &[u8]) -> Result<CodedFacts, ImageError> {
    without_panic(|| {
        let (file, item) = heif::open(bytes, Coding::Av1)?;
        for item in [Some(&item), item.alpha.as_deref()].into_iter().flatten() {
            for &tile in &item.tiles {
                check_sequence(&item_data(bytes, &file, tile, Coding::Av1)?, item)?;
            }
        }
        let facts = heif::facts(&item);
        // The helper has a copy of the file.
        Ok(CodedFacts { coding_bytes: facts.coding_bytes.saturating_add(bytes.len() as u64), ..facts })
    })
}

/// Returns the EXIF block of the primary image.
pub(crate) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    without_panic(|| Ok(heif::exif(bytes, Coding::Av1))).ok().flatten()
}

/// Returns the XMP packet of the primary image.
pub(crate) fn xmp(bytes: &[u8]) -> Option<Vec<u8>> {
    without_panic(|| Ok(heif::xmp(bytes, Coding::Av1))).ok().flatten()
}

/// Decodes every pixel, cropped but not turned.
pub(crate) fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    isolated::decode(IsolatedFormat::Avif, bytes, &read_facts(bytes)?)
}

/// Decodes the image, cropped but not turned, and replaces each square of `times` x `times` pixels by its mean.
pub(crate) fn decode_reduced(bytes: &[u8], times: u32) -> Result<Reduced, ImageError> {
    isolated::decode_reduced(IsolatedFormat::Avif, bytes, &read_facts(bytes)?, times)
}

/// Returns the colour profile of the decoded pixels, or `None` if they are in sRGB.
pub(crate) fn profile(bytes: &[u8]) -> Option<ColorProfile> {
    let read = || {
        let (file, item) = heif::open(bytes, Coding::Av1)?;
        Ok(space(bytes, &file, &item).profile())
    };
    without_panic(read).ok().flatten()
}

/// Whether all boxes of the file are complete.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    boxes::are_complete(bytes)
}

/// Decodes the image in this process, which must be the helper.
pub(super) fn decode_here(bytes: &[u8], times: u32) -> Result<Canvas, ImageError> {
    let (file, item) = heif::open(bytes, Coding::Av1)?;
    let crop = item.placement.crop;
    let mut canvas = Canvas::new((crop.width, crop.height), times);
    tiles::each_row(bytes, &file, &item, |x, y, rgb| heif::put_row(&mut canvas, &item, x, y, rgb))?;
    Ok(canvas)
}

fn space<'a>(bytes: &[u8], file: &'a HeifFile<'_>, item: &Item) -> ColourSpace<'a> {
    ColourSpace::read(file, item, |id| coded_in_sequence(bytes, file, id))
}

fn coded_in_sequence(bytes: &[u8], file: &HeifFile<'_>, id: ItemId) -> Option<Coded> {
    let Sequence { primaries, transfer, .. } = sequence::find(&item_data(bytes, file, id, Coding::Av1).ok()?)?;
    (transfer != NOT_SPECIFIED).then_some((primaries, transfer))
}

/// Compares the size in the sequence header of a tile with the container. The decoder allocates memory by the former.
fn check_sequence(units: &[u8], item: &Item) -> Result<Sequence, ImageError> {
    let sequence = sequence::find(units).ok_or_else(|| corrupt("it has no AV1 sequence header"))?;
    let ((width, height), (declared_width, declared_height)) = (sequence.size, item.tile);
    let is_too_small = width < declared_width || height < declared_height;
    if is_too_small || u64::from(width) * u64::from(height) > item.max_coded_pixels() {
        return Err(corrupt(format!(
            "its AV1 header declares {width} x {height} pixels, and its container {declared_width} x {declared_height}"
        )));
    }
    Ok(sequence)
}

/// Runs `work`. A panic of a parser is an error of the file.
fn without_panic<T>(work: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(corrupt("its parser panicked")))
}

fn corrupt(reason: impl Into<String>) -> ImageError {
    Coding::Av1.corrupt(reason)
}
