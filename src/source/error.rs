//! The errors of an [`ImageSource`](super::ImageSource), and who is responsible for each of them.

use std::time::Duration;

use super::guarded;
use crate::domain::{DependencyError, FailureAttribution, FailureClass, FailureKind, ImageUri, OperatorError};
use crate::resilience::Retryable;

/// The errors of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The object does not exist, or no longer exists.
    #[error("{0} does not exist in the bucket, or was deleted")]
    Missing(ImageUri),
    /// The bucket does not exist.
    #[error(
        "the bucket `{0}` does not exist: create it, or name another one (S3_BUCKET, or `s3_bucket` of the job), or correct \
         S3_ENDPOINT"
    )]
    NoBucket(String),
    /// The credentials are valid but do not allow reading or writing this object.
    #[error("access to {0} was denied: check the credentials and the bucket's policy")]
    Denied(String),
    /// The object is in an archive.
    #[error("{uri} is archived ({class}): restore it, or copy it to a storage class that can be read")]
    Archived {
        /// Its address.
        uri: ImageUri,
        /// Its storage class or access tier.
        class: String,
    },
    /// The object exists, and the write must not replace it.
    #[error("{0} exists in the bucket")]
    Exists(ImageUri),
    /// Nothing can be read until the operator has changed something.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The object has more bytes than allowed.
    #[error("{uri} has at least {bytes} bytes; at most {limit} bytes are allowed (IMAGE_MAX_SIZE_MB)")]
    TooLarge {
        /// Its address.
        uri: ImageUri,
        /// Its declared size, or what was read until the limit was exceeded.
        bytes: u64,
        /// `IMAGE_MAX_SIZE_MB`, in bytes.
        limit: u64,
    },
    /// The body of the object ended before its declared length. A retry can help.
    #[error("the body of {uri} ended after {got} of {expected} bytes")]
    BrokenOff {
        /// Its address.
        uri: ImageUri,
        /// How many bytes were read.
        got: u64,
        /// Its declared length in bytes.
        expected: u64,
    },
    /// The service refuses this request from every client, for example because the key is too long.
    #[error("the service of the bucket refused {what}: {reason}")]
    Refused {
        /// The bucket or object.
        what: String,
        /// The code and the message of the service.
        reason: String,
    },
    /// The service failed repeatedly for this object, and answered for other objects in between.
    #[error(
        "the service of the bucket failed {tries} times to return {uri}, but answered for other objects; see the log"
    )]
    Failing {
        /// Its address.
        uri: ImageUri,
        /// The number of requests for it.
        tries: u32,
    },
    /// The service itself failed.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
}

impl Retryable for SourceError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Missing(_)
            | Self::NoBucket(_)
            | Self::Denied(_)
            | Self::Archived { .. }
            | Self::Exists(_)
            | Self::Operator(_)
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::Failing { .. } => false,
            Self::BrokenOff { .. } => true,
            Self::Dependency(error) => error.failure.is_temporary(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Dependency(error) => error.failure.retry_after(),
            _ => None,
        }
    }

    fn is_full(&self) -> bool {
        matches!(self, Self::Dependency(error) if error.failure == FailureKind::Full)
    }

    fn is_caused_by_input(&self) -> bool {
        matches!(self, Self::BrokenOff { .. })
    }

    fn is_failure(&self) -> bool {
        match self {
            Self::Dependency(error) => error.failure.is_down(),
            other => other.is_retryable(),
        }
    }
}

impl SourceError {
    /// Returns who is responsible for the failure to read an object.
    pub fn attribution(&self) -> FailureAttribution {
        use FailureAttribution::{Dependency, Image, Operator};
        match self {
            Self::Missing(_) => Image(FailureClass::FetchMissing),
            Self::Denied(_) | Self::Refused { .. } | Self::Exists(_) => Image(FailureClass::FetchDenied),
            Self::Archived { .. } => Image(FailureClass::Archived),
            Self::TooLarge { .. } => Image(FailureClass::TooLarge),
            Self::BrokenOff { .. } => Image(FailureClass::Truncated),
            Self::Failing { .. } => Image(FailureClass::FetchFailed),
            Self::Dependency(_) => Dependency,
            Self::NoBucket(_) | Self::Operator(_) => Operator,
        }
    }

    /// Returns the message of the service, for the log.
    pub fn detail(&self) -> &str {
        match self {
            Self::Operator(error) => &error.detail,
            Self::Dependency(error) => &error.detail,
            Self::Refused { reason, .. } => reason,
            Self::Missing(_)
            | Self::NoBucket(_)
            | Self::Denied(_)
            | Self::Archived { .. }
            | Self::Exists(_)
            | Self::TooLarge { .. }
            | Self::BrokenOff { .. }
            | Self::Failing { .. } => "",
        }
    }

    /// Returns how many times a source that waits requested the object before it returned this error.
    pub fn tries(&self) -> u32 {
        match self {
            Self::Failing { tries, .. } => *tries,
            Self::BrokenOff { .. } => guarded::MAX_BROKEN_READS,
            Self::Missing(_)
            | Self::NoBucket(_)
            | Self::Denied(_)
            | Self::Archived { .. }
            | Self::Exists(_)
            | Self::Operator(_)
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::Dependency(_) => 1,
        }
    }
}
