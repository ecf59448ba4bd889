//! Decoders that do not run in this process: they contain `unsafe` code, and a hostile file must not cost more than itself
//! (ADR 0025). This module describes the work; a [`DecodeHelper`] does it elsewhere.

mod work;

use std::sync::OnceLock;

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x3;
use image::RgbImage;

use super::ImageError;
use super::facts::decoded::CodedFacts;
use super::reduced::Reduced;
use crate::domain::ImageFormat;

pub use work::work;

/// The formats whose decoders do not run in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolatedFormat {
    /// AV1 in HEIF.
    Avif,
    /// JPEG XL.
    Jxl,
}

impl IsolatedFormat {
    /// Returns the format of the file.
    pub fn image_format(self) -> ImageFormat {
        match self {
            Self::Avif => ImageFormat::Avif,
            Self::Jxl => ImageFormat::Jxl,
        }
    }
}

/// What a helper returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The pixels of an image of this width and height, each square of `times` x `times` pixels as one. With 1, they are RGB
    /// bytes, row by row; otherwise the means of the squares, three samples of 16 bits, little-endian, with the value of a
    /// byte in the high one.
    Pixels {
        /// Width and height of the whole image.
        size: (u32, u32),
        /// Pixels for each side of a square, 1 to 256.
        times: u32,
    },
    /// The ICC profile of the pixels; empty if they are in sRGB.
    Profile,
}

/// Maximum size of an ICC profile in bytes.
const MAX_PROFILE: usize = 4 << 20;

impl Output {
    /// Returns the smallest and the largest number of bytes of the result.
    pub fn allowed_bytes(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Pixels { size: (width, height), times } => {
                let count = |side: u32| side.div_ceil(times.max(1)) as usize;
                let bytes_per_pixel = if times > 1 { 6 } else { 3 };
                let bytes = count(width).saturating_mul(count(height)).saturating_mul(bytes_per_pixel);
                bytes..=bytes
            }
            Self::Profile => 0..=MAX_PROFILE,
        }
    }
}

/// The work for one file.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The format of the file.
    pub format: IsolatedFormat,
    /// What is wanted.
    pub output: Output,
    /// Bytes that may be allocated for it, the copy of the file and the result included.
    pub max_memory: u64,
    /// The file.
    pub bytes: &'a [u8],
}

/// Does the work in another process.
pub trait DecodeHelper: Send + Sync + std::fmt::Debug {
    /// Returns the bytes that [`Request::output`] describes.
    ///
    /// # Errors
    /// Returns an error of the image, also if the helper could not finish the work because of the image.
    fn run(&self, request: &Request<'_>) -> Result<Vec<u8>, ImageError>;
}

static HELPER: OnceLock<Box<dyn DecodeHelper>> = OnceLock::new();

/// Sets the helper of this process. Only the first one is used: decoders are needed everywhere, as an allocator is.
pub fn install(helper: impl DecodeHelper + 'static) {
    // A second helper would do the same.
    let _ = HELPER.set(Box::new(helper));
}

/// Decodes every pixel to RGB.
#[cfg_attr(not(any(feature = "avif", feature = "jxl")), expect(dead_code, reason = "no decoder is isolated"))]
pub(super) fn decode(format: IsolatedFormat, bytes: &[u8], facts: &CodedFacts) -> Result<RgbImage, ImageError> {
    let rgb = pixels(format, bytes, facts, 1)?;
    let (width, height) = facts.size;
    RgbImage::from_raw(width, height, rgb).ok_or_else(|| wrong_size(format))
}

/// Decodes the means of squares of `times` x `times` pixels.
#[cfg_attr(not(any(feature = "avif", feature = "jxl")), expect(dead_code, reason = "no decoder is isolated"))]
pub(super) fn decode_reduced(
    format: IsolatedFormat,
    bytes: &[u8],
    facts: &CodedFacts,
    times: u32,
) -> Result<Reduced, ImageError> {
    let samples = pixels(format, bytes, facts, times)?;
    let pixel = |bytes: &[u8; 6]| {
        let [red, green, blue] = [0, 2, 4].map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        U16x3::new([red, green, blue])
    };
    let pixels = samples.as_chunks::<6>().0.iter().map(pixel).collect();
    let (width, height) = (facts.size.0.div_ceil(times), facts.size.1.div_ceil(times));
    TypedImage::from_pixels(width, height, pixels).map_err(|_| wrong_size(format))
}

/// Returns the ICC profile of the pixels; empty if they are in sRGB.
#[cfg_attr(not(feature = "jxl"), expect(dead_code, reason = "only that of JPEG XL is entropy-coded"))]
pub(super) fn profile(format: IsolatedFormat, bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    let max_memory = bytes.len() as u64 + MEMORY_OF_HEADER;
    run(&Request { format, output: Output::Profile, max_memory, bytes })
}

/// Memory for decoding a header with a profile.
const MEMORY_OF_HEADER: u64 = 32 << 20;

fn pixels(format: IsolatedFormat, bytes: &[u8], facts: &CodedFacts, times: u32) -> Result<Vec<u8>, ImageError> {
    let output = Output::Pixels { size: facts.size, times };
    // The result is on the canvas, and then a second time as bytes of the reply.
    let result_bytes = (*output.allowed_bytes().end() as u64).saturating_mul(3);
    run(&Request { format, output, max_memory: facts.coding_bytes.saturating_add(result_bytes), bytes })
}

fn run(request: &Request<'_>) -> Result<Vec<u8>, ImageError> {
    let helper = HELPER.get().ok_or(ImageError::NoHelper { format: request.format.image_format().name() })?;
    let result = helper.run(request)?;
    if request.output.allowed_bytes().contains(&result.len()) { Ok(result) } else { Err(wrong_size(request.format)) }
}

fn wrong_size(format: IsolatedFormat) -> ImageError {
    ImageError::corrupt(format.image_format(), "its pixels have another number than its size requires")
}
