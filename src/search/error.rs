//! The errors of a search, and their kinds for the client.

use crate::calibration::NoRelevance;
use crate::collection_models::{ModelError, RecordedModel};
use crate::domain::{CollectionName, DependencyError, FailureClass, InvalidCollectionName, SpaceMismatch};
use crate::embed::EmbedError;
use crate::imaging::ImageError;
use crate::index::IndexError;

/// A failed search.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// An option is out of its range.
    #[error("{field}: {message}")]
    Invalid {
        /// The name of the option.
        field: &'static str,
        /// What is wrong and what is allowed.
        message: String,
    },
    /// A term of the query is not allowed, or their number.
    #[error("{message}")]
    InvalidTerm {
        /// The parameter or field with the term.
        field: &'static str,
        /// Where the term is, what is wrong with it and what is allowed.
        message: String,
    },
    /// The collection name is malformed.
    #[error(transparent)]
    Collection(#[from] InvalidCollectionName),
    /// The collection has no image with that id, or the id is malformed.
    #[error("there is no image `{id}` in the collection `{collection}`")]
    UnknownImage {
        /// The id as the client sent it.
        id: String,
        /// The collection that was searched.
        collection: CollectionName,
    },
    /// The uploaded image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Too many searches run at once.
    #[error("too many searches at once; try again in a moment")]
    Busy,
    /// The vectors of the collection have a different space.
    #[error(transparent)]
    Space(#[from] SpaceMismatch),
    /// The embedding provider refused the query or failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The model of the collection is not that of the settings, and cannot be used.
    #[error("{}", .0.for_client())]
    Model(Box<RecordedModel>),
    /// The store refused or failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// `min_relevance` is set, but the relevance of hits is not known.
    #[error("min_relevance cannot be used: {0}")]
    NoRelevance(NoRelevance),
    /// The relevance of a collection cannot be fitted to the answers of its users.
    #[error("the relevance cannot be fitted: {0}")]
    CannotFit(String),
    /// The fit of a collection cannot be stored or removed.
    #[error("the calibration of the collection cannot be stored")]
    Files(#[source] std::io::Error),
    /// A decoder panicked while it read the image.
    #[error("the image could not be decoded")]
    Panicked,
}

impl From<ModelError> for SearchError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Default(error) => Self::Embed(error),
            ModelError::Recorded(recorded) => match recorded.error {
                // The reason is the query, and not the model.
                error @ (EmbedError::Unsupported | EmbedError::Rejected(_) | EmbedError::Failing { .. }) => {
                    Self::Embed(error)
                }
                EmbedError::WrongCount { .. }
                | EmbedError::Invalid(_)
                | EmbedError::ProbeFailed(_)
                | EmbedError::Dependency(_) => Self::Model(recorded),
            },
        }
    }
}

/// The kind of an error, for callers that reply to a client and must not depend on the ports.
#[derive(Clone, Copy, Debug)]
pub enum SearchErrorKind<'a> {
    /// The option with this name is invalid.
    Invalid(&'static str),
    /// The collection name is invalid.
    Collection,
    /// The image has too many bytes.
    TooLarge,
    /// The format is not supported.
    NotAnImage,
    /// The image cannot be used.
    BadImage(FailureClass),
    /// The service is busy; the client should retry later.
    Busy,
    /// The collection does not exist.
    UnknownCollection,
    /// The collection has no generation with this number.
    UnknownGeneration,
    /// The image does not exist.
    UnknownImage,
    /// The request conflicts with existing data; the value is the error code.
    Conflict(&'static str),
    /// The embedding provider refuses this input.
    RejectedInput,
    /// The embedding provider returned an invalid result.
    BadProvider,
    /// A dependency failed.
    Dependency(&'a DependencyError),
    /// The model of the collection cannot be used; with the dependency that failed, if one did.
    Model(Option<&'a DependencyError>),
    /// An internal error of this service.
    Internal,
}

impl SearchError {
    /// Returns the message for a client. The details of a dependency are for the log.
    pub fn for_client(&self) -> String {
        match self.kind() {
            SearchErrorKind::Dependency(down) => down.for_client(),
            _ => self.to_string(),
        }
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> SearchErrorKind<'_> {
        match self {
            Self::Invalid { field, .. } | Self::InvalidTerm { field, .. } => SearchErrorKind::Invalid(field),
            Self::Collection(_) => SearchErrorKind::Collection,
            Self::UnknownImage { .. } => SearchErrorKind::UnknownImage,
            Self::Image(ImageError::TooLarge { .. }) => SearchErrorKind::TooLarge,
            Self::Image(
                ImageError::UnsupportedFormat(_)
                | ImageError::UnsupportedCoding(_)
                | ImageError::NotBuiltIn { .. }
                | ImageError::NoHelper { .. },
            ) => SearchErrorKind::NotAnImage,
            Self::Image(
                bad @ (ImageError::Corrupt { .. } | ImageError::Truncated { .. } | ImageError::TooManyPixels { .. }),
            ) => SearchErrorKind::BadImage(bad.class()),
            // A client can do the same about it: use another copy of the image.
            Self::Image(ImageError::HelperFailed { .. }) => SearchErrorKind::BadImage(FailureClass::Corrupt),
            Self::Busy => SearchErrorKind::Busy,
            Self::Space(_) | Self::Index(IndexError::Space(_)) => SearchErrorKind::Conflict("space_mismatch"),
            Self::NoRelevance(_) | Self::CannotFit(_) => SearchErrorKind::Conflict("relevance_unknown"),
            Self::Index(IndexError::NameOfGeneration { .. }) => SearchErrorKind::Conflict("name_of_generation"),
            Self::Index(IndexError::NameTaken { .. }) => SearchErrorKind::Conflict("name_taken"),
            Self::Index(IndexError::OutdatedRecords(_)) => SearchErrorKind::Conflict("outdated_records"),
            Self::Index(IndexError::NoExactSearch { .. }) => SearchErrorKind::Invalid("exact"),
            Self::Index(IndexError::UnknownCollection(_)) => SearchErrorKind::UnknownCollection,
            Self::Index(IndexError::NoGeneration { .. }) => SearchErrorKind::UnknownGeneration,
            Self::Embed(EmbedError::Unsupported | EmbedError::Rejected(_) | EmbedError::Failing { .. }) => {
                SearchErrorKind::RejectedInput
            }
            Self::Embed(EmbedError::WrongCount { .. } | EmbedError::Invalid(_) | EmbedError::ProbeFailed(_)) => {
                SearchErrorKind::BadProvider
            }
            Self::Embed(EmbedError::Dependency(down)) | Self::Index(IndexError::Dependency(down)) => {
                SearchErrorKind::Dependency(down)
            }
            Self::Model(recorded) => SearchErrorKind::Model(match &recorded.error {
                EmbedError::Dependency(down) => Some(down),
                EmbedError::Unsupported
                | EmbedError::Rejected(_)
                | EmbedError::Failing { .. }
                | EmbedError::WrongCount { .. }
                | EmbedError::Invalid(_)
                | EmbedError::ProbeFailed(_) => None,
            }),
            Self::Index(IndexError::Rejected { .. }) | Self::Files(_) | Self::Panicked => SearchErrorKind::Internal,
        }
    }
}
