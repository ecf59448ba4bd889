//! The facts of formats whose decoders read the header themselves.

use image::metadata::Orientation;

use super::exif::Metadata;
use super::header::{Raw, jpeg};
use crate::imaging::canvas::Canvas;
use crate::imaging::{ImageError, bmp, raw, tiff};

pub(super) fn tiff(bytes: &[u8]) -> Result<Raw<'_>, ImageError> {
    let facts = tiff::read_facts(bytes)?;
    let pixels = u64::from(facts.width) * u64::from(facts.height);
    let decoded_bytes = pixels.saturating_mul(Canvas::BYTES_PER_PIXEL).saturating_add(facts.part_bytes);
    Ok(Raw {
        width: facts.width,
        height: facts.height,
        frames: facts.frames,
        metadata: Metadata::default(),
        turn: facts.orientation,
        decoded_bytes,
    })
}

pub(super) fn bmp(bytes: &[u8]) -> Result<Raw<'_>, ImageError> {
    let facts = bmp::read_facts(bytes)?;
    let (width, height) = (facts.width, facts.height);
    // The decoder returns up to four samples, which are converted to RGB.
    let decoded_bytes = (u64::from(width) * u64::from(height)).saturating_mul(4 + 3);
    Ok(Raw { width, height, frames: 1, metadata: Metadata::default(), turn: None, decoded_bytes })
}

/// The facts are those of the embedded JPEG. Its metadata counts only if the file has none of its own, as that of Fuji.
pub(super) fn camera_raw(bytes: &[u8]) -> Result<Raw<'_>, ImageError> {
    let preview = raw::preview(bytes)?;
    let facts = jpeg(preview.jpeg)?;
    let turn = facts.metadata.orientation().or(preview.orientation);
    let metadata = if raw::exif(bytes).is_none() { facts.metadata } else { Metadata::default() };
    Ok(Raw { metadata, turn, ..facts })
}

/// The facts of an image whose coding is described by a container or a header of its own.
pub(crate) struct CodedFacts {
    /// Width and height of the decoded pixels.
    pub(crate) size: (u32, u32),
    /// How the decoded pixels are turned.
    pub(crate) turn: Orientation,
    /// Bytes that are allocated while the image is decoded, without the result.
    pub(crate) coding_bytes: u64,
}

impl CodedFacts {
    pub(super) fn into_raw<'a>(self) -> Raw<'a> {
        let (width, height) = self.size;
        let pixels = u64::from(width) * u64::from(height);
        let decoded_bytes = pixels.saturating_mul(Canvas::BYTES_PER_PIXEL).saturating_add(self.coding_bytes);
        Raw { width, height, frames: 1, metadata: Metadata::default(), turn: Some(self.turn), decoded_bytes }
    }
}
