//! Why an upload is refused.

use crate::domain::{CollectionName, DependencyError, ImageUri, ItemFailure};
use crate::imaging::ImageError;
use crate::jobs::JobsError;

/// Why an upload is refused. Nothing is stored, except for [`UploadsError::NotIndexable`] and [`UploadsError::KeptAway`].
#[derive(Debug, thiserror::Error)]
pub enum UploadsError {
    /// Uploads are off.
    #[error(
        "uploads are off; set GLIMPSE_UPLOADS to the key prefixes that clients may store objects under, such as `images/`, \
         or to `*` for every key"
    )]
    Off,
    /// The setting does not allow this key.
    #[error("the key `{key}` is not allowed: GLIMPSE_UPLOADS allows keys that begin with {allowed}")]
    NotAllowed {
        /// The key.
        key: String,
        /// The prefixes that are allowed.
        allowed: String,
    },
    /// The key cannot be used.
    #[error("key: {0}")]
    Key(String),
    /// Objects with this key are not indexed.
    #[error("key: `{0}` is excluded from indexing (S3_EXCLUDE)")]
    Excluded(String),
    /// The key is that of a thumbnail.
    #[error("key: `{0}` is in the folder of thumbnails (THUMBNAIL_PREFIX), which is not indexed")]
    Thumbnail(String),
    /// The key does not have the extension of an image.
    #[error("key: `{0}` does not end with the extension of a supported image format, such as .jpg, .png or .webp")]
    Extension(String),
    /// The bytes are not an image that can be indexed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A decoder panicked while it read the image.
    #[error("the image could not be decoded")]
    Panicked,
    /// The object exists, and the client wants a new one.
    #[error("{0} exists; without `If-None-Match: *`, it is replaced")]
    Exists(ImageUri),
    /// The object has another version than the client expects, or does not exist.
    #[error(
        "If-Match: {uri} {}; read the object again before it is replaced",
        .found.as_ref().map_or_else(|| "does not exist".to_owned(), |etag| format!("has the ETag `{etag}`, not `{wanted}`"))
    )]
    OtherVersion {
        /// The object.
        uri: ImageUri,
        /// The ETag of the object, if it exists.
        found: Option<String>,
        /// The ETag that the client expects.
        wanted: String,
    },
    /// The bucket does not let the service write.
    #[error(
        "the credentials of the service do not allow writing {0}: allow s3:PutObject for S3_ACCESS_KEY_ID, or set \
         GLIMPSE_UPLOADS=off"
    )]
    ReadOnly(ImageUri),
    /// The bucket failed.
    #[error(transparent)]
    Dependency(DependencyError),
    /// The bucket cannot be used until the operator has changed something.
    #[error("{0}")]
    Bucket(String),
    /// The bucket does not accept an object with this key.
    #[error("{0}")]
    KeyRefused(String),
    /// The bucket refused the request.
    #[error("the bucket refused the request; the log has the details")]
    BucketRefused,
    /// Another upload of the same key does not end.
    #[error("another upload of the same key is in progress; send it again after its end")]
    KeyBusy,
    /// Too many uploads run, or wait to be indexed.
    #[error("too many uploads at once, or too many that wait to be indexed; try again in a moment")]
    Busy,
    /// The image was removed permanently from the collection.
    #[error(
        "{uri} was removed permanently from the collection `{collection}`; restore it first: \
         DELETE /collections/{collection}/removed-images/{}, or `glimpse images restore {uri} --collection {collection}`",
        .uri.id()
    )]
    Removed {
        /// The object.
        uri: ImageUri,
        /// The collection.
        collection: CollectionName,
    },
    /// The image was removed permanently while its object was stored.
    #[error(
        "{uri} is stored, but was removed permanently from the collection `{collection}` at the same time, and is not indexed"
    )]
    KeptAway {
        /// The object.
        uri: ImageUri,
        /// The collection.
        collection: CollectionName,
    },
    /// The object is stored, but cannot be indexed.
    #[error("{uri} is stored, but cannot be indexed: {}", .failure.message)]
    NotIndexable {
        /// The object.
        uri: ImageUri,
        /// The reason.
        failure: ItemFailure,
    },
    /// The bucket or the collection cannot be used.
    #[error(transparent)]
    Jobs(#[from] JobsError),
}
