//! Bytes in, pixels and facts out: magic bytes, limits, decode, orientation, alpha, resize. No I/O, no async; knows
//! nothing of where bytes come from or where pixels go.

mod settings;

use std::fmt;

use bytes::Bytes;

use crate::domain::{FailureClass, ImageMeta};

pub use settings::ImagingSettings;

/// What is checked before a decoder may allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file (`IMAGE_MAX_SIZE_MB`).
    pub max_bytes: u64,
    /// Pixels that the header promises, all of one frame (`IMAGE_MAX_PIXELS`).
    pub max_pixels: u64,
    /// Bytes that a decoder may allocate (`IMAGE_MAX_DECODE_MB`).
    pub max_decode_bytes: u64,
}

/// How a picture is brought to the model's square. Part of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preprocessing {
    /// Side of the square in pixels.
    pub size: u32,
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crop-{}-bicubic", self.size)
    }
}

/// The model's input: `size` x `size` RGB bytes, row by row, before mean and std (those are the model's own).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedImage {
    /// Side of the square in pixels.
    pub size: u32,
    /// `size * size * 3` bytes.
    pub rgb: Bytes,
}

/// All that is made of one file in one decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// For the model.
    pub image: PreparedImage,
    /// Of the original.
    pub meta: ImageMeta,
}

/// Why bytes are not a picture. Content errors all: no retry helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// No format that is read.
    #[error("not a JPEG, PNG, WebP or GIF image; it looks like {0}")]
    UnsupportedFormat(String),
    /// The bytes contradict their format.
    #[error("the {format} data is corrupt: {reason}")]
    Corrupt {
        /// Which decoder spoke.
        format: &'static str,
        /// What it said.
        reason: String,
    },
    /// The bytes end too early.
    #[error("the {format} data ends before the picture does")]
    Truncated {
        /// Which decoder spoke.
        format: &'static str,
    },
    /// Too many pixels, or too much memory to decode them.
    #[error("{width} x {height} pixels are more than allowed: {limit}")]
    TooManyPixels {
        /// By the header.
        width: u32,
        /// By the header.
        height: u32,
        /// Which limit, with its setting.
        limit: String,
    },
    /// Too many bytes.
    #[error("{bytes} bytes are more than the {limit} that are allowed (IMAGE_MAX_SIZE_MB)")]
    TooLarge {
        /// Of the file.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

impl ImageError {
    /// The class under which a job lists it.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::UnsupportedFormat(_) => FailureClass::UnsupportedFormat,
            Self::Corrupt { .. } => FailureClass::Corrupt,
            Self::Truncated { .. } => FailureClass::Truncated,
            Self::TooManyPixels { .. } => FailureClass::TooManyPixels,
            Self::TooLarge { .. } => FailureClass::TooLarge,
        }
    }
}

/// TEMP
pub fn decode_cost(_: &[u8], _: &Limits) -> Result<u64, ImageError> {
    Ok(1)
}
/// TEMP
pub fn prepare(_: &[u8], _: &Limits, _: &Preprocessing) -> Result<Prepared, ImageError> {
    Err(ImageError::UnsupportedFormat(String::new()))
}
