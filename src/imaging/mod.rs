//! Bytes in, pixels and facts out: magic bytes, limits, decode, orientation, alpha, resize. No I/O, no async; knows
//! nothing of where bytes come from or where pixels go.

mod axis;
mod decode;
mod error;
mod exif;
mod flatten;
mod header;
mod jpeg;
mod prepare;
mod resize;
mod settings;
mod sniff;
mod walk;

use std::fmt;

use bytes::Bytes;

use crate::domain::ImageMeta;

pub use error::ImageError;
pub use header::{Header, decoded_size, inspect, read_header};
pub use prepare::prepare;
pub use sniff::sniff;

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
