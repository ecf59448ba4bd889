//! What went wrong with one image.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ImageUri;

/// Why one image could not be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The bytes are of no format that is read.
    UnsupportedFormat,
    /// The bytes contradict their format.
    Corrupt,
    /// The bytes end too early.
    Truncated,
    /// The header promises more pixels, or more memory, than is allowed.
    TooManyPixels,
    /// More bytes than are allowed.
    TooLarge,
    /// The bucket refuses to hand it out.
    FetchDenied,
    /// It was listed and is no longer there.
    FetchMissing,
    /// The bucket keeps it in an archive, from which it must be restored before it can be read.
    Archived,
    /// The bucket's service failed over it again and again.
    FetchFailed,
    /// The embedding provider refuses this image.
    EmbedRejected,
    /// A store refuses this record.
    IndexRejected,
    /// Our code panicked over it.
    Panicked,
    /// Workers died over it, again and again.
    Crashed,
}

impl FailureClass {
    /// Every class.
    pub const ALL: [Self; 13] = [
        Self::UnsupportedFormat,
        Self::Corrupt,
        Self::Truncated,
        Self::TooManyPixels,
        Self::TooLarge,
        Self::FetchDenied,
        Self::FetchMissing,
        Self::Archived,
        Self::FetchFailed,
        Self::EmbedRejected,
        Self::IndexRejected,
        Self::Panicked,
        Self::Crashed,
    ];

    /// `snake_case` name, as in replies and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedFormat => "unsupported_format",
            Self::Corrupt => "corrupt",
            Self::Truncated => "truncated",
            Self::TooManyPixels => "too_many_pixels",
            Self::TooLarge => "too_large",
            Self::FetchDenied => "fetch_denied",
            Self::FetchMissing => "fetch_missing",
            Self::Archived => "archived",
            Self::FetchFailed => "fetch_failed",
            Self::EmbedRejected => "embed_rejected",
            Self::IndexRejected => "index_rejected",
            Self::Panicked => "panicked",
            Self::Crashed => "crashed",
        }
    }

    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One image that could not be indexed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// Which.
    pub uri: ImageUri,
    /// Why, as a class.
    pub class: FailureClass,
    /// Why, in words.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for class in FailureClass::ALL {
            assert_eq!(FailureClass::from_name(class.as_str()), Some(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
    }
}
