//! Turns the bytes of a file into pixels and metadata: magic bytes, limits, decoding, orientation, alpha and resizing.
//! The module does no I/O and is not async. It does not depend on where the bytes come from or where the pixels go.

mod colour;
mod decode;
mod error;
mod facts;
mod flatten;
mod gif;
mod jpeg;
mod png;
mod prepare;
mod reduced;
mod repair;
mod resize;
mod settings;
mod signature;
mod webp;

use std::fmt;

use bytes::Bytes;

use crate::domain::{ImageMeta, Signature};

pub use error::ImageError;
pub use facts::complete::is_complete;
pub use facts::header::{Header, read_header, validate_image};
pub use facts::sniff::{has_known_format, is_html, sniff};
pub use prepare::region::{InvalidRegion, Region, prepare_region, region_size};
pub use prepare::thumbnail::{THUMBNAIL_SIDE, decoded_size, thumbnail};
pub use prepare::upright::{UprightImage, decode_upright};
pub use prepare::{Extras, prepare, prepare_with, prepared_size, resize_for_embedding};

pub use settings::{ImagingSettings, SIDES};
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

/// How an image is converted to the square input of the model. It is part of the identity of the embedding space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preprocessing {
    /// Side of the square in pixels.
    pub size: u32,
    /// What happens to an image that is not square.
    pub resize: Resize,
}

impl Preprocessing {
    /// Resizes the shorter side to `size` and crops the centre.
    pub const fn crop(size: u32) -> Self {
        Self { size, resize: Resize::Crop }
    }
}

/// What happens to an image that is not square (`IMAGE_RESIZE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side is resized to the side of the square, and both ends of the longer side are cut off. The length
    /// of the longer side is rounded to whole pixels, halves to the even number.
    #[default]
    Crop,
    /// Like `Crop`, but the length of the longer side is rounded down. CLIP was trained with this, and transformers and
    /// torchvision do it. If the two lengths differ, the position of the square differs by half a pixel.
    CropFloor,
    /// The longer side is resized to the side of the square, and the rest is filled with this RGB colour.
    Pad([u8; 3]),
}

impl Resize {
    /// Returns the name that services send to each other.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::CropFloor => "crop-floor",
            Self::Pad(_) => "pad",
        }
    }
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resize {
            Resize::Crop => write!(f, "crop-{}-bicubic", self.size),
            Resize::CropFloor => write!(f, "crop-{}-bicubic-floor", self.size),
            Resize::Pad([red, green, blue]) => write!(f, "pad-{}-bicubic-{red:02x}{green:02x}{blue:02x}", self.size),
        }
    }
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
