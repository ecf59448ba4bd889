//! Why a search gives no answer, and what kind of refusal that is.

use crate::domain::{CollectionName, DependencyError, FailureClass, InvalidCollectionName, SpaceMismatch};
use crate::embed::EmbedError;
use crate::imaging::ImageError;
use crate::index::IndexError;

/// Why a search gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// An option is out of its range.
    #[error("{field}: {message}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is allowed.
        message: String,
    },
    /// A malformed collection name.
    #[error(transparent)]
    Collection(#[from] InvalidCollectionName),
    /// No image has that id in that collection; also for an id that is none.
    #[error("there is no image `{id}` in the collection `{collection}`")]
    UnknownImage {
        /// As it was asked for.
        id: String,
        /// Where.
        collection: CollectionName,
    },
    /// The image is none.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Too many at once.
    #[error("too many searches at once; try again in a moment")]
    Busy,
    /// The collection's vectors are of another space.
    #[error(transparent)]
    Space(#[from] SpaceMismatch),
    /// The provider refused the query or failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The store refused or failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A decoder panicked over the image.
    #[error("the image could not be decoded")]
    Panicked,
}

/// What kind of refusal an error is, for whoever has to answer a client and may not know the ports.
#[derive(Clone, Copy, Debug)]
pub enum Refusal<'a> {
    /// This option.
    Invalid(&'static str),
    /// The collection's name.
    Collection,
    /// Too many bytes.
    TooLarge,
    /// No format that is read.
    NotAnImage,
    /// A image that cannot be used.
    BadImage(FailureClass),
    /// Come back later.
    Busy,
    /// No such collection.
    UnknownCollection,
    /// No such image.
    UnknownImage,
    /// It contradicts what is there; the word says what.
    Conflict(&'static str),
    /// The provider does not take this input.
    RejectedInput,
    /// The provider does not do what it says.
    BadProvider,
    /// A dependency failed.
    Dependency(&'a DependencyError),
    /// Our own fault.
    Internal,
}

impl SearchError {
    /// What kind of refusal it is.
    pub fn refusal(&self) -> Refusal<'_> {
        match self {
            Self::Invalid { field, .. } => Refusal::Invalid(field),
            Self::Collection(_) => Refusal::Collection,
            Self::UnknownImage { .. } => Refusal::UnknownImage,
            Self::Image(ImageError::TooLarge { .. }) => Refusal::TooLarge,
            Self::Image(ImageError::UnsupportedFormat(_) | ImageError::UnsupportedCoding(_)) => Refusal::NotAnImage,
            Self::Image(
                bad @ (ImageError::Corrupt { .. } | ImageError::Truncated { .. } | ImageError::TooManyPixels { .. }),
            ) => Refusal::BadImage(bad.class()),
            Self::Busy => Refusal::Busy,
            Self::Space(_) | Self::Index(IndexError::Space(_)) => Refusal::Conflict("space_mismatch"),
            Self::Index(IndexError::NameTaken { .. }) => Refusal::Conflict("name_taken"),
            Self::Index(IndexError::UnknownCollection(_)) => Refusal::UnknownCollection,
            Self::Embed(EmbedError::Unsupported | EmbedError::Rejected(_) | EmbedError::Failing { .. }) => {
                Refusal::RejectedInput
            }
            Self::Embed(EmbedError::WrongCount { .. } | EmbedError::Invalid(_) | EmbedError::ProbeFailed(_)) => {
                Refusal::BadProvider
            }
            Self::Embed(EmbedError::Dependency(down)) | Self::Index(IndexError::Dependency(down)) => {
                Refusal::Dependency(down)
            }
            Self::Index(IndexError::Rejected { .. }) | Self::Panicked => Refusal::Internal,
        }
    }
}
