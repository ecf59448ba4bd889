//! Turns the bytes of a file into pixels and metadata: magic bytes, limits, decoding, orientation, alpha and resizing.
//! The module does no I/O and is not async. It does not depend on where the bytes come from or where the pixels go.

mod absent;
#[cfg(feature = "avif")]
mod avif;
mod bmp;
mod canvas;
mod colour;
mod convert;
mod decode;
mod error;
mod exif;
mod facts;
mod flatten;
mod gif;
#[cfg(feature = "heic")]
mod heic;
#[cfg(any(feature = "heic", feature = "avif"))]
mod heif;
mod inks;
pub mod isolated;
mod jpeg;
#[cfg(feature = "jxl")]
mod jxl;
mod png;
mod prepare;
mod preprocessing;
mod raw;
mod reduced;
mod repair;
mod resize;
mod settings;
mod signature;
mod tiff;
mod tone;
mod webp;

#[cfg(not(feature = "avif"))]
use absent::avif;
#[cfg(not(feature = "heic"))]
use absent::heic;
#[cfg(not(feature = "jxl"))]
use absent::jxl;

use bytes::Bytes;

use crate::domain::{ImageMeta, Signature};

pub use error::ImageError;
pub use exif::{exif_facts, exif_facts_of_head};
pub use facts::complete::is_complete;
pub use facts::header::{Header, read_header, validate_image};
pub use facts::sniff::{has_known_format, is_html, sniff};
pub use prepare::region::{InvalidRegion, Region, prepare_region, region_size};
pub use prepare::thumbnail::{THUMBNAIL_SIDE, preview, preview_size, thumbnail};
pub use prepare::upright::{UprightImage, decode_upright};
pub use prepare::{Extras, prepare, prepare_with, prepared_size, resize_for_embedding};
pub use preprocessing::{Filter, InputColour, Preprocessing, Resize};
pub use settings::{Colour, ColourKind, ImagingSettings, ResizeKind, SIDES};
pub use signature::{is_copy, signature};

/// The limits that are checked before a decoder may allocate memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of the file in bytes (`IMAGE_MAX_SIZE_MB`).
    pub max_bytes: u64,
    /// Maximum number of pixels of one frame, as the header gives them (`IMAGE_MAX_PIXELS`).
    pub max_pixels: u64,
    /// Maximum number of bytes that a decoder may allocate (`IMAGE_MAX_DECODE_MB`).
    pub max_decode_bytes: u64,
}

/// How much of a file is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decode {
    /// Only as many pixels as the result needs, if the embedding does not differ measurably (ADR 0006).
    #[default]
    Fast,
    /// Every pixel.
    Full,
}

/// The input of the model: `size` x `size` RGB bytes, row by row, before normalization with mean and standard deviation
/// (which depend on the model).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedImage {
    /// Side of the square in pixels.
    pub size: u32,
    /// `size * size * 3` bytes.
    pub rgb: Bytes,
}

/// Everything that is made from one file in one decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The input of the model.
    pub image: PreparedImage,
    /// The metadata of the original file.
    pub meta: ImageMeta,
    /// A JPEG of at most [`THUMBNAIL_SIDE`] pixels per side, if it was requested.
    pub thumbnail: Option<Bytes>,
    /// The signature of the pixels, if it was requested and the image shows enough detail.
    pub hashes: Option<Signature>,
}
