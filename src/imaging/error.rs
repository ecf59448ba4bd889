//! The reasons why bytes cannot be decoded as an image.

use crate::domain::{FailureClass, ImageFormat};

/// The reason why bytes cannot be decoded as an image. All of these are errors of the content: a retry does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The file is not in a supported format. The value describes what it looks like instead.
    #[error("not a JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC, AVIF, JPEG XL or camera RAW image; it looks like {0}")]
    UnsupportedFormat(String),
    /// The format is supported, but this coding of it is not. The value names the coding.
    #[error("{0}, which cannot be decoded")]
    UnsupportedCoding(String),
    /// This build does not contain the decoder of the format.
    #[error("a {name} image, which this build of Glimpse does not read: it was built without the feature `{feature}`")]
    NotBuiltIn {
        /// The name of the format of the file.
        name: &'static str,
        /// The cargo feature that adds the decoder.
        feature: &'static str,
    },
    /// The bytes are not valid in their format.
    #[error("the {format} data is corrupt: {reason}")]
    Corrupt {
        /// The name of the format of the file.
        format: &'static str,
        /// The message of the decoder.
        reason: String,
    },
    /// The file is truncated.
    #[error("the {format} data ends before the image is complete")]
    Truncated {
        /// The name of the format of the file.
        format: &'static str,
    },
    /// The process that decodes the format ended, took too long or returned garbage.
    #[error("the process that decodes {format} failed on the image: {reason}")]
    HelperFailed {
        /// The name of the format of the file.
        format: &'static str,
        /// What happened to the process.
        reason: String,
    },
    /// This program has no process that decodes the format.
    #[error("{format} images are decoded in another process, which this program did not set up")]
    NoHelper {
        /// The name of the format of the file.
        format: &'static str,
    },
    /// The image has too many pixels, or decoding them would take too much memory.
    #[error("the image of {width} x {height} pixels is too large: {limit}")]
    TooManyPixels {
        /// Width in pixels, from the header.
        width: u32,
        /// Height in pixels, from the header.
        height: u32,
        /// A description of the limit, with its setting.
        limit: String,
    },
    /// The file is too large.
    #[error("the file has {bytes} bytes; at most {limit} bytes are allowed (IMAGE_MAX_SIZE_MB)")]
    TooLarge {
        /// The size of the file in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

impl ImageError {
    /// Returns the class under which a job reports this error.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::UnsupportedFormat(_)
            | Self::UnsupportedCoding(_)
            | Self::NotBuiltIn { .. }
            | Self::NoHelper { .. } => FailureClass::UnsupportedFormat,
            Self::Corrupt { .. } => FailureClass::Corrupt,
            Self::Truncated { .. } => FailureClass::Truncated,
            Self::TooManyPixels { .. } => FailureClass::TooManyPixels,
            Self::TooLarge { .. } => FailureClass::TooLarge,
            Self::HelperFailed { .. } => FailureClass::Crashed,
        }
    }

    pub(crate) fn corrupt(format: ImageFormat, reason: impl Into<String>) -> Self {
        Self::Corrupt { format: format.name(), reason: reason.into() }
    }

    pub(crate) fn coding(name: String) -> Self {
        Self::UnsupportedCoding(name)
    }

    pub(crate) fn truncated(format: ImageFormat) -> Self {
        Self::Truncated { format: format.name() }
    }
}
