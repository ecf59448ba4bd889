//! JPEG XL. The boxes and the size are read here; the pixels and the colour profile are decoded in the helper process
//! (`isolated`), because the decoder `jxl` contains `unsafe` code (ADR 0025).

mod container;
mod decoder;
mod header;

use image::RgbImage;
use image::metadata::Orientation;
use moxcms::ColorProfile;

use super::isolated::{self, IsolatedFormat};
use super::reduced::Reduced;
use super::{ImageError, colour};
use crate::domain::ImageFormat;
use crate::imaging::facts::decoded::CodedFacts;
use header::CodestreamHeader;

pub(super) use decoder::{decode_here, profile_here};

/// The first bytes of a codestream, which contain all fields that are read.
const HEAD: usize = 128;
/// Bytes for each sample that the decoder keeps in addition to its result: of images with the default header (lossy, 8 bits;
/// measured: less than this), of other images with 8 bits, and of deeper ones.
const BYTES_PER_SAMPLE: [u64; 3] = [1, 2, 4];

/// Reads the header. The codestream says how the image is turned, and the decoder turns it.
pub(crate) fn read_facts(bytes: &[u8]) -> Result<CodedFacts, ImageError> {
    let header = header(bytes)?;
    let (width, height) = header.size;
    let channels = 3 + u64::from(header.extra_channels);
    let sample_bytes = match header {
        CodestreamHeader { is_default: true, .. } => BYTES_PER_SAMPLE[0],
        CodestreamHeader { bits: ..=8, .. } => BYTES_PER_SAMPLE[1],
        CodestreamHeader { .. } => BYTES_PER_SAMPLE[2],
    };
    let pixels = u64::from(width) * u64::from(height);
    // The decoder returns the whole image with transparency, in 16 bits if it is deep. The helper has a copy of the file.
    let output = if header.bits > 8 { 8 } else { 4 };
    let coding_bytes = pixels.saturating_mul(channels * sample_bytes + output).saturating_add(bytes.len() as u64);
    Ok(CodedFacts { size: header.size, turn: Orientation::NoTransforms, coding_bytes })
}

/// Returns the EXIF block.
pub(crate) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    container::exif(bytes)
}

/// Returns the XMP packet.
pub(crate) fn xmp(bytes: &[u8]) -> Option<Vec<u8>> {
    container::xmp(bytes)
}

/// Decodes every pixel, upright.
pub(crate) fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    isolated::decode(IsolatedFormat::Jxl, bytes, &read_facts(bytes)?)
}

/// Decodes the image, upright, and replaces each square of `times` x `times` pixels by its mean.
pub(crate) fn decode_reduced(bytes: &[u8], times: u32) -> Result<Reduced, ImageError> {
    isolated::decode_reduced(IsolatedFormat::Jxl, bytes, &read_facts(bytes)?, times)
}

/// Returns the colour profile of the decoded pixels, or `None` if they are in sRGB.
pub(crate) fn profile(bytes: &[u8]) -> Option<ColorProfile> {
    // The profile is entropy-coded.
    if header(bytes).ok()?.is_default {
        return None;
    }
    let icc = isolated::profile(IsolatedFormat::Jxl, bytes).ok()?;
    colour::parse(&icc)
}

/// Whether all boxes of the file are complete. Of a codestream alone, the length is not known.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    container::is_complete(bytes)
}

fn header(bytes: &[u8]) -> Result<CodestreamHeader, ImageError> {
    let head = container::codestream_head(bytes, HEAD);
    header::read(&head).ok_or_else(|| {
        if head.len() < HEAD { ImageError::truncated(ImageFormat::Jxl) } else { corrupt("its header cannot be read") }
    })
}

fn corrupt(reason: impl Into<String>) -> ImageError {
    ImageError::corrupt(ImageFormat::Jxl, reason)
}
