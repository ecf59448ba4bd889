//! The port [`ImageSource`]: where images come from, and its adapters. May know the bucket's protocol; knows
//! nothing of embeddings, indexes, jobs or HTTP replies.

pub mod credentials;
pub mod embedded;
mod encoding;
pub mod guarded;
mod members;
pub mod s3;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use crate::domain::{
    DependencyError, FailureAttribution, FailureClass, ImageRef, ImageUri, OperatorError, Timestamp, object_version,
};
use crate::resilience::Retryable;

pub use credentials::{HalfCredentials, S3Credentials};
pub use embedded::{EmbeddedS3, EmbeddedS3Error, EmbeddedS3Settings};
pub use encoding::{Encoded, EncodingError};
pub use guarded::GuardedSource;
pub use s3::{InvalidS3Settings, S3Settings, S3Source};
pub use settings::{Endpoint, SourceSettings};

/// Which keys of which bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The bucket.
    pub bucket: String,
    /// Only keys that begin so; empty for all.
    pub prefix: String,
    /// Only keys after this one, in the order of UTF-8 bytes.
    pub start_after: Option<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPage {
    /// Its objects, in the order in which the service gave them.
    pub images: Vec<ImageRef>,
    /// Those of them that cannot be read because they are in an archive, each with its storage class.
    pub archived: Vec<(ImageUri, String)>,
    /// Keys that are not UTF-8, so that no URI can name them: as text for a log.
    pub unreadable: Vec<String>,
    /// How the listing goes on.
    pub next: NextPage,
}

/// How a listing goes on after a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NextPage {
    /// The source gives no tokens: after the last key of the page.
    #[default]
    AfterLastKey,
    /// With this token. It holds whatever the order of the keys is.
    Token(String),
    /// The page is the last one.
    End,
}

/// Keys of a page made from a source that gives none.
const PAGE: usize = 1000;

/// An object that was read whole.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its bytes as they are stored, at most the source's limit: [`Fetched::decoded`] gives what they were before.
    pub bytes: Bytes,
    /// Its ETag without quotes, as of this read.
    pub etag: Option<String>,
    /// When it was written, if the service says so.
    pub modified: Option<Timestamp>,
    /// Its `Content-Type`, which the uploader may have set to anything.
    pub content_type: Option<String>,
    /// What its bytes were encoded with before they were stored, as it says itself.
    pub content_encoding: Option<String>,
    /// `x-amz-meta-*`, without that prefix.
    pub metadata: BTreeMap<String, String>,
}

/// An object that is being read piece by piece.
pub struct Opened {
    /// Its ETag without quotes, as of this read; `None` if the service gives none.
    pub etag: Option<String>,
    /// When it was written, if the service says so.
    pub modified: Option<Timestamp>,
    /// The size of the whole object, if the service says so.
    pub size_bytes: Option<u64>,
    /// Whether the body is the part that was asked for. If not, it is the whole object.
    pub is_part: bool,
    /// Whether the body is compressed (`Content-Encoding`): [`ImageSource::fetch`] knows what to do about it.
    pub is_encoded: bool,
    /// The bytes. The stream ends after its first error.
    pub body: BoxStream<'static, Result<Bytes, SourceError>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("etag", &self.etag).field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

/// A part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first byte.
    pub from: u64,
    /// The last byte; `None` for the end of the object.
    pub to: Option<u64>,
    /// The ETag that the object must still have.
    pub etag: Option<String>,
}

/// An object to be written.
#[derive(Clone, Debug, Default)]
pub struct NewObject {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub content_type: String,
    /// `x-amz-meta-*`, without that prefix.
    pub metadata: BTreeMap<String, String>,
}

/// The bucket behind a trait, so that the chain cannot tell Amazon's from the one in this process.
#[async_trait]
pub trait ImageSource: Send + Sync + 'static {
    /// Every object of the scope, in key order, in pages behind the scenes: never all keys at once. Which of
    /// them are images is for the caller to decide. Ends after the first error.
    fn list(&self, scope: &Scope) -> BoxStream<'static, Result<ImageRef, SourceError>>;

    /// The same page by page, with what is to be known of a page beside its objects. Goes on at the token of an earlier
    /// page if `from` is given.
    fn pages(&self, scope: &Scope, from: Option<String>) -> BoxStream<'static, Result<ListedPage, SourceError>> {
        drop(from);
        let pages = self.list(scope).ready_chunks(PAGE).map(|chunk| {
            let mut page = ListedPage::default();
            let mut error = None;
            for image in chunk {
                match image {
                    Ok(image) => page.images.push(image),
                    Err(broken) => error = Some(broken),
                }
            }
            let page = Some(page).filter(|page| !page.images.is_empty());
            stream::iter(page.map(Ok).into_iter().chain(error.map(Err)))
        });
        pages.flatten().boxed()
    }

    /// Reads one object whole. Its size is checked against the listing, the reply's header and while reading.
    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError>;

    /// Reads one object whole that is no image and was not listed: `most` bytes at most.
    async fn fetch_file(&self, uri: &ImageUri, most: u64) -> Result<Fetched, SourceError>;

    /// Opens one object, or a part of it, to be read piece by piece: at most one piece is in memory.
    async fn open(&self, uri: &ImageUri, part: Option<&Part>) -> Result<Opened, SourceError> {
        // A source that reads objects only whole has them in memory anyway, and gives the whole object.
        let _ = part;
        let fetched = self.fetch_file(uri, u64::MAX).await?;
        Ok(Opened {
            etag: fetched.etag,
            modified: None,
            size_bytes: Some(fetched.bytes.len() as u64),
            is_part: false,
            is_encoded: false,
            body: futures::stream::iter([Ok(fetched.bytes)]).boxed(),
        })
    }

    /// Writes one object; replaces what was there.
    async fn put(&self, uri: &ImageUri, object: NewObject) -> Result<(), SourceError>;
}

/// What goes wrong with a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No such object (any more).
    #[error("{0} is not in the bucket (any more)")]
    Missing(ImageUri),
    /// No such bucket.
    #[error("there is no bucket `{0}`: make it, or set S3_BUCKET and S3_ENDPOINT to one that exists")]
    NoBucket(String),
    /// The credentials are good, and may not read or write this object.
    #[error("access to {0} was denied: check the credentials and the bucket's policy")]
    Denied(String),
    /// The object is in an archive.
    #[error("{uri} is archived ({class}): restore it, or copy it to a storage class that can be read")]
    Archived {
        /// Which object.
        uri: ImageUri,
        /// Its storage class or access tier.
        class: String,
    },
    /// Nothing can be read before the operator has changed something.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// More bytes than allowed.
    #[error("{uri} has {bytes} bytes or more, {limit} are allowed (IMAGE_MAX_SIZE_MB)")]
    TooLarge {
        /// Which object.
        uri: ImageUri,
        /// The bytes that are known so far.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The object's body ended before its length: try again.
    #[error("{uri} broke off after {got} of {expected} bytes")]
    BrokenOff {
        /// Which object.
        uri: ImageUri,
        /// Bytes read.
        got: u64,
        /// Bytes promised.
        expected: u64,
    },
    /// The service refuses this request from every client: a key that is too long, an unknown kind of request.
    #[error("{what} was refused by the bucket's service: {reason}")]
    Refused {
        /// Which bucket or object.
        what: String,
        /// The service's code and words.
        reason: String,
    },
    /// The service fails over this object again and again, and lists it in between.
    #[error("the bucket's service failed over {uri} {tries} times while it was there; the log has the details")]
    Failing {
        /// Which object.
        uri: ImageUri,
        /// How often it was asked for it.
        tries: u32,
    },
    /// The service itself is the trouble.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
}

impl Fetched {
    /// The version and the size of what was read, to be compared with what later listings say.
    ///
    /// They are those of the listing unless the object was overwritten since: some services give an object one ETag in
    /// listings and another one when it is read, or decode it on the way. A version that is a time is always the listed one:
    /// an object that was overwritten has a later time in the next listing.
    pub fn version(&self, listed: &ImageRef) -> (Option<String>, u64) {
        let size = self.bytes.len() as u64;
        let same_etag = self.etag.is_some() && self.etag == listed.etag;
        let same_time = match (self.modified, listed.modified) {
            (Some(read), Some(listed)) => {
                object_version::from_last_modified(read) == object_version::from_last_modified(listed)
            }
            _ => size == listed.size_bytes,
        };
        let listed_version = same_etag || same_time;
        let of_listing = |version: &&String| listed_version || object_version::is_last_modified(version);
        let version = listed.etag.as_ref().filter(of_listing).or(self.etag.as_ref()).or(listed.etag.as_ref());
        (version.cloned(), if listed_version { listed.size_bytes } else { size })
    }
}

impl Retryable for SourceError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Missing(_)
            | Self::NoBucket(_)
            | Self::Denied(_)
            | Self::Archived { .. }
            | Self::Operator(_)
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::Failing { .. } => false,
            Self::BrokenOff { .. } => true,
            Self::Dependency(down) => down.trouble.may_pass(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Dependency(down) => down.trouble.retry_after(),
            _ => None,
        }
    }

    fn is_caused_by_input(&self) -> bool {
        matches!(self, Self::BrokenOff { .. })
    }

    fn is_failure(&self) -> bool {
        match self {
            Self::Dependency(down) => down.trouble.is_down(),
            other => other.is_retryable(),
        }
    }
}

impl SourceError {
    /// Whose failure it is that an object was not read.
    pub fn attribution(&self) -> FailureAttribution {
        use FailureAttribution::{Dependency, Image, Operator};
        match self {
            Self::Missing(_) => Image(FailureClass::FetchMissing),
            Self::Denied(_) | Self::Refused { .. } => Image(FailureClass::FetchDenied),
            Self::Archived { .. } => Image(FailureClass::Archived),
            Self::TooLarge { .. } => Image(FailureClass::TooLarge),
            Self::BrokenOff { .. } => Image(FailureClass::Truncated),
            Self::Failing { .. } => Image(FailureClass::FetchFailed),
            Self::Dependency(_) => Dependency,
            Self::NoBucket(_) | Self::Operator(_) => Operator,
        }
    }

    /// What the service said itself, for the log.
    pub fn detail(&self) -> &str {
        match self {
            Self::Operator(error) => &error.detail,
            Self::Dependency(down) => &down.detail,
            Self::Refused { reason, .. } => reason,
            Self::Missing(_)
            | Self::NoBucket(_)
            | Self::Denied(_)
            | Self::Archived { .. }
            | Self::TooLarge { .. }
            | Self::BrokenOff { .. }
            | Self::Failing { .. } => "",
        }
    }

    /// How often the object was asked for before this was said by a source that waits.
    pub fn tries(&self) -> u32 {
        match self {
            Self::Failing { tries, .. } => *tries,
            Self::BrokenOff { .. } => guarded::BROKEN_OFF,
            Self::Missing(_)
            | Self::NoBucket(_)
            | Self::Denied(_)
            | Self::Archived { .. }
            | Self::Operator(_)
            | Self::TooLarge { .. }
            | Self::Refused { .. }
            | Self::Dependency(_) => 1,
        }
    }
}
