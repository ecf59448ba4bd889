//! The port [`ImageSource`], which reads images from a bucket, and its adapters. This module knows the protocol of the
//! bucket; it does not know embeddings, indexes, jobs or HTTP replies.

pub mod credentials;
pub mod embedded;
mod encoding;
mod error;
pub mod guarded;
mod members;
pub mod s3;
mod settings;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::domain::{ImageRef, ImageUri, Timestamp, object_version};

pub use credentials::{HalfCredentials, S3Credentials};
pub use embedded::{EmbeddedS3, EmbeddedS3Error, EmbeddedS3Settings};
pub use encoding::{Encoded, EncodingError};
pub use error::SourceError;
pub use guarded::GuardedSource;
pub use s3::{EventRule, InvalidS3Settings, S3Settings, S3Source};
pub use settings::{S3Endpoint, SourceSettings};

/// The part of a bucket to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The bucket.
    pub bucket: String,
    /// Only keys with this prefix; empty for all keys.
    pub prefix: String,
    /// Only keys after this one, ordered by their UTF-8 bytes.
    pub start_after: Option<String>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPage {
    /// Its objects, in the order of the listing.
    pub images: Vec<ImageRef>,
    /// The objects among them that cannot be read because they are archived, each with its storage class.
    pub archived: Vec<(ImageUri, String)>,
    /// The entries whose keys are not UTF-8. No URI can name these objects.
    pub unreadable: Vec<UnreadableKey>,
    /// How the listing continues.
    pub next: NextPage,
}

/// An entry of a page whose key is not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnreadableKey {
    /// The number of images of the page that are listed before it.
    pub position: usize,
    /// The key as text for the log.
    pub text: String,
}

/// How a listing continues after a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NextPage {
    /// After the last key of the page: the source does not use tokens.
    #[default]
    AfterLastKey,
    /// With this token, which is valid in whatever order the keys come.
    Token(String),
    /// The page is the last one.
    End,
}

/// The maximum number of keys of a page, for a source without pages.
const PAGE_KEYS: usize = 1000;

/// An object that was read completely.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its stored bytes, at most the limit of the source. [`Fetched::decoded`] returns them without their encoding.
    pub bytes: Bytes,
    /// The ETag of this read, without quotes.
    pub etag: Option<String>,
    /// When it was last written, if the service reports it.
    pub modified: Option<Timestamp>,
    /// Its `Content-Type`, which is not reliable: the uploader can set any value.
    pub content_type: Option<String>,
    /// Its `Content-Encoding`: the declared compression of the stored bytes.
    pub content_encoding: Option<String>,
    /// `x-amz-meta-*`, without that prefix.
    pub metadata: BTreeMap<String, String>,
}

/// An object that is read piece by piece.
pub struct Opened {
    /// The ETag of this read, without quotes; `None` if the service does not report one.
    pub etag: Option<String>,
    /// When it was last written, if the service reports it.
    pub modified: Option<Timestamp>,
    /// Its `Content-Type`, which is not reliable: the uploader can set any value.
    pub content_type: Option<String>,
    /// The size of the whole object, if the service reports it.
    pub size_bytes: Option<u64>,
    /// Whether the body is the requested part. Otherwise it is the whole object.
    pub is_part: bool,
    /// Whether the body is compressed (`Content-Encoding`). [`ImageSource::fetch`] returns what is needed to decode it.
    pub is_encoded: bool,
    /// The body. The stream ends after its first error.
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

/// An object to write.
#[derive(Clone, Debug, Default)]
pub struct NewObject {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub content_type: String,
    /// `x-amz-meta-*`, without that prefix.
    pub metadata: BTreeMap<String, String>,
    /// Whether the write fails if the object exists. A service that does not know such writes replaces the object.
    pub only_new: bool,
}

/// A bucket. The callers do not depend on which service has it.
#[async_trait]
pub trait ImageSource: Send + Sync + 'static {
    /// Returns every object of the scope, including those that are not images. Reads page by page, so the keys are
    /// never all in memory. Ends after the first error.
    fn list(&self, scope: &Scope) -> BoxStream<'static, Result<ImageRef, SourceError>>;

    /// Returns the pages of the listing, starting at the token `from` of an earlier page if there is one. Ends after
    /// the first error.
    fn pages(&self, scope: &Scope, from: Option<String>) -> BoxStream<'static, Result<ListedPage, SourceError>> {
        drop(from);
        let pages = self.list(scope).ready_chunks(PAGE_KEYS).map(|chunk| {
            let mut page = ListedPage::default();
            let mut error = None;
            for image in chunk {
                match image {
                    Ok(image) => page.images.push(image),
                    Err(failed) => error = Some(failed),
                }
            }
            let page = Some(page).filter(|page| !page.images.is_empty());
            stream::iter(page.map(Ok).into_iter().chain(error.map(Err)))
        });
        pages.flatten().boxed()
    }

    /// Returns the first objects of the scope, at most `limit`, by one request. Does not wait for a service that is down.
    async fn first(&self, scope: &Scope, limit: u16) -> Result<Vec<ImageRef>, SourceError> {
        self.list(scope).take(limit.into()).try_collect().await
    }

    /// Returns the object of a key, by a listing; `None` if it does not exist.
    async fn find(&self, uri: &ImageUri) -> Result<Option<ImageRef>, SourceError> {
        let (bucket, prefix) = (uri.bucket().to_owned(), uri.key().to_owned());
        // The key itself is the first of all keys that begin with it.
        let first = self.first(&Scope { bucket, prefix, start_after: None }, 1).await?;
        Ok(first.into_iter().find(|image| image.uri == *uri))
    }

    /// Reads one object completely. Checks its size by the listing, by the header of the reply and while reading.
    async fn fetch(&self, image: &ImageRef) -> Result<Fetched, SourceError>;

    /// Reads one object completely that was not listed and is not an image: at most `max_bytes` bytes.
    async fn fetch_file(&self, uri: &ImageUri, max_bytes: u64) -> Result<Fetched, SourceError>;

    /// Opens one object, or a part of it, to read it piece by piece. At most one piece is in memory.
    async fn open(&self, uri: &ImageUri, part: Option<&Part>) -> Result<Opened, SourceError> {
        // This default is for a source that can only read whole objects, so it ignores `part`.
        let _ = part;
        let fetched = self.fetch_file(uri, u64::MAX).await?;
        Ok(Opened {
            etag: fetched.etag,
            modified: None,
            content_type: fetched.content_type,
            size_bytes: Some(fetched.bytes.len() as u64),
            is_part: false,
            is_encoded: false,
            body: futures::stream::iter([Ok(fetched.bytes)]).boxed(),
        })
    }

    /// Writes one object. Replaces an existing object, unless `only_new` is set. Returns the ETag of the new object, if
    /// the service reports it.
    async fn put(&self, uri: &ImageUri, object: NewObject) -> Result<Option<String>, SourceError>;
}

impl Fetched {
    /// Returns the version and the size of the bytes that were read, to compare them with later listings.
    ///
    /// They are those of the listing unless the object was overwritten since then: with some services, the ETag or the
    /// size of an object differs between a listing and a read. A version that is a time is always taken from the
    /// listing: if the object was overwritten, the next listing has a later time.
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
        let keeps_listed = |version: &&String| listed_version || object_version::is_last_modified(version);
        let version = listed.etag.as_ref().filter(keeps_listed).or(self.etag.as_ref()).or(listed.etag.as_ref());
        (version.cloned(), if listed_version { listed.size_bytes } else { size })
    }
}
