//! Why bytes are not a image.

use crate::domain::{FailureClass, ImageFormat};

/// Why bytes are not a image. Content errors all: no retry helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// No format that is read.
    #[error("not a JPEG, PNG, WebP or GIF image; it looks like {0}")]
    UnsupportedFormat(String),
    /// A format that is read, in a coding that is not. It is named.
    #[error("{0}, which cannot be decoded")]
    UnsupportedCoding(String),
    /// The bytes contradict their format.
    #[error("the {format} data is corrupt: {reason}")]
    Corrupt {
        /// Which decoder spoke.
        format: &'static str,
        /// What it said.
        reason: String,
    },
    /// The bytes end too early.
    #[error("the {format} data ends before the image does")]
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
            Self::UnsupportedFormat(_) | Self::UnsupportedCoding(_) => FailureClass::UnsupportedFormat,
            Self::Corrupt { .. } => FailureClass::Corrupt,
            Self::Truncated { .. } => FailureClass::Truncated,
            Self::TooManyPixels { .. } => FailureClass::TooManyPixels,
            Self::TooLarge { .. } => FailureClass::TooLarge,
        }
    }

    pub(super) fn corrupt(format: ImageFormat, reason: impl Into<String>) -> Self {
        Self::Corrupt { format: format.as_str(), reason: reason.into() }
    }

    pub(super) fn coding(name: String) -> Self {
        Self::UnsupportedCoding(name)
    }

    pub(super) fn truncated(format: ImageFormat) -> Self {
        Self::Truncated { format: format.as_str() }
    }
}
