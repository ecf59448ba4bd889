//! The errors of lists and counts.

use crate::domain::InvalidCollectionName;
use crate::index::IndexError;

/// A failed list or count.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// An option is invalid.
    #[error("{field}: {message}")]
    Invalid {
        /// The name of the option.
        field: &'static str,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// The collection name is malformed.
    #[error(transparent)]
    Collection(#[from] InvalidCollectionName),
    /// Too many lists and counts run at once.
    #[error("too many lists of images at once; try again in a moment")]
    Busy,
    /// The store refused or failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl BrowseError {
    pub(super) fn invalid(field: &'static str, message: String) -> Self {
        Self::Invalid { field, message }
    }
}
