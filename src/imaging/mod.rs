//! Bytes in, pixels and facts out: magic bytes, limits, decode, orientation, alpha, resize. No I/O, no async; knows
//! nothing of where bytes come from or where pixels go.

mod axis;
mod cmyk;
mod coding;
mod colour;
mod decode;
mod error;
mod exif;
mod flatten;
mod header;
mod jpeg;
mod jpeg_other;
mod mend;
mod png;
mod png_text;
mod prepare;
mod reduced;
mod resize;
mod settings;
mod sniff;
mod stored;
mod thumbnail;
mod upright;
mod walk;
mod webp;

use std::fmt;

use bytes::Bytes;

use crate::domain::ImageMeta;

pub use error::ImageError;
pub use header::{Header, read_header, validate_image};
pub use prepare::{Extras, prepare, prepare_with, prepared_size, resize_for_embedding};
pub use sniff::sniff;
pub use thumbnail::{THUMBNAIL_SIDE, decoded_size, thumbnail};
pub use upright::{UprightImage, decode_upright};

pub use settings::{ImagingSettings, SIDES};

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

/// How a image is brought to the model's square. Part of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preprocessing {
    /// Side of the square in pixels.
    pub size: u32,
    /// What happens to a image that is no square.
    pub resize: Resize,
}

impl Preprocessing {
    /// Shorter side to `size`, centre crop.
    pub const fn crop(size: u32) -> Self {
        Self { size, resize: Resize::Crop }
    }
}

/// What happens to a image that is no square (`IMAGE_RESIZE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side becomes the square's, the longer one's ends are cut off; a fraction of a pixel of the longer side
    /// is rounded, halves to the even number.
    #[default]
    Crop,
    /// The same with the fraction dropped: what CLIP was trained with, and what transformers and torchvision do. Where the
    /// two differ, the square lies half a pixel further along.
    CropFloor,
    /// The longer side becomes the square's, the rest is filled with this colour.
    Pad([u8; 3]),
}

impl Resize {
    /// What one service tells another of it.
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
    /// No more than what is made of it takes, where the difference cannot be told by its embedding (ADR 0006).
    #[default]
    Fast,
    /// Every pixel.
    Full,
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
    /// A JPEG of at most [`THUMBNAIL_SIDE`] pixels a side, where it was asked for.
    pub thumbnail: Option<Bytes>,
}
