//! Why an image could not be indexed.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ImageUri;

/// Why one image could not be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The bytes are not in a supported image format.
    UnsupportedFormat,
    /// The bytes are not valid for their format.
    Corrupt,
    /// The bytes end too early.
    Truncated,
    /// The header announces more pixels, or needs more memory, than is allowed.
    TooManyPixels,
    /// The object has more bytes than are allowed.
    TooLarge,
    /// The bucket refuses access to the object.
    FetchDenied,
    /// The object was listed and no longer exists.
    FetchMissing,
    /// The object is in an archive, from which it must be restored before it can be read.
    Archived,
    /// The bucket's service failed repeatedly for this object.
    FetchFailed,
    /// The embedding provider refuses this image.
    EmbedRejected,
    /// A store refuses this record.
    IndexRejected,
    /// The code of Glimpse panicked on this image.
    Panicked,
    /// Workers died repeatedly while they processed this image, or the process that decodes it died once.
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

    /// Returns the `snake_case` name, as in replies and in the ledger.
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

    /// Returns the class with this name.
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
    /// The image.
    pub uri: ImageUri,
    /// Why it failed, as a class.
    pub class: FailureClass,
    /// Why it failed, as text.
    pub message: String,
    /// How many times it was tried.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_parsed_back_from_its_name() {
        for class in FailureClass::ALL {
            assert_eq!(FailureClass::from_name(class.as_str()), Some(class));
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
    }
}
