//! Access to one indexed image: its record, its thumbnail and preview, its original, and its removal from the index. The object in
//! the bucket is never changed.

mod in_progress;
mod job_thumbnails;
mod objects;
mod originals;
mod preview_side;
mod reader;
mod settings;
mod stream;
mod thumbnail_cache;
mod thumbnails;

use bytes::Bytes;
use futures::future::join_all;

use crate::domain::{
    CollectionName, DependencyError, FailureClass, ImageId, ImageRecord, ImageUri, InvalidCollectionName,
};
use crate::imaging::ImageError;
use crate::index::{IndexError, Stores};
use crate::source::EncodingError;

pub use originals::{Original, Originals};
pub use preview_side::PreviewSide;
pub use settings::ImagesSettings;
pub use thumbnails::{Thumbnail, Thumbnails};

/// The indexed images. Clones share the same stores.
#[derive(Clone, Debug)]
pub struct Images {
    stores: Stores,
    thumbnails: Thumbnails,
    originals: Originals,
}

/// The reason why an image cannot be shown.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImagesError {
    /// The collection does not contain an image with this id, or the id is malformed.
    #[error("there is no image `{id}` in the collection `{collection}`")]
    Unknown {
        /// The requested id.
        id: String,
        /// The requested collection.
        collection: CollectionName,
    },
    /// The collection name is malformed.
    #[error(transparent)]
    Collection(#[from] InvalidCollectionName),
    /// The image is indexed, but its object is no longer in the bucket.
    #[error("the object {0} is no longer in the bucket")]
    Vanished(ImageUri),
    /// The object is not an image any more.
    #[error(transparent)]
    Image(ImageError),
    /// The `Content-Encoding` of the object cannot be decoded.
    #[error("the object cannot be shown: {0}")]
    Encoding(EncodingError),
    /// The bucket has the object, but its bytes cannot be read.
    #[error("{message}")]
    Unreadable {
        /// The class under which a job reports this error.
        class: FailureClass,
        /// The reason, and what to do.
        message: String,
    },
    /// The bucket refuses access. The reason is in the log.
    #[error("the bucket refuses access to the object; the log has the details")]
    Refused,
    /// The bucket is unavailable or failed.
    #[error(transparent)]
    Dependency(DependencyError),
    /// Too many originals are being sent, or too many thumbnails are being made.
    #[error("too many images are being sent or prepared at the same time; try again later")]
    Busy,
    /// The decoder panicked on this image.
    #[error("the image could not be decoded")]
    Panicked,
    /// The vector store rejected the request or failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl ImagesError {
    /// The error for an object of more than `limit` bytes.
    fn too_large(uri: &ImageUri, limit: u64) -> Self {
        let message = format!("{uri} has more than {limit} bytes, which is the maximum (IMAGE_MAX_SIZE_MB)");
        Self::Unreadable { class: FailureClass::TooLarge, message }
    }
}

impl Images {
    /// Creates the access to the images of these stores.
    pub fn new(stores: Stores, thumbnails: Thumbnails, originals: Originals) -> Self {
        Self { stores, thumbnails, originals }
    }

    /// Returns the record of one image, and the parsed collection name.
    ///
    /// # Errors
    /// Fails if the collection or the image is unknown, or if the store fails.
    pub async fn get(&self, id: &str, collection: &str) -> Result<(CollectionName, ImageRecord), ImagesError> {
        let collection = CollectionName::parse(collection)?;
        let physical = self.stores.generations().resolve(&collection, None)?.physical;
        let found = match id.parse::<ImageId>() {
            Ok(id) => self.stores.find_record(&physical, id).await?,
            Err(_) => None,
        };
        match found {
            Some(record) => Ok((collection, record)),
            None => Err(ImagesError::Unknown { id: id.to_owned(), collection }),
        }
    }

    /// Returns the thumbnail of an indexed image.
    ///
    /// # Errors
    /// Fails if the object cannot be read or decoded, or if too many thumbnails are being made.
    pub async fn thumbnail(&self, record: &ImageRecord) -> Result<Thumbnail, ImagesError> {
        self.thumbnails.get(record).await
    }

    /// Returns a JPEG of an indexed image that fits into a square of this side.
    ///
    /// # Errors
    /// Fails if the object cannot be read or decoded, or if too many previews are being made or sent.
    pub async fn preview(&self, record: &ImageRecord, side: PreviewSide) -> Result<Thumbnail, ImagesError> {
        self.thumbnails.preview(record, side).await
    }

    /// Opens the current file of an indexed image.
    ///
    /// # Errors
    /// Fails if the object cannot be read or is not an image, or if too many originals are being sent.
    pub async fn original(&self, record: &ImageRecord) -> Result<Original, ImagesError> {
        self.originals.open(record).await
    }

    /// Returns the current bytes of an indexed image; `None` if there are more than `limit`.
    ///
    /// # Errors
    /// Fails if the object cannot be read.
    pub async fn read(&self, record: &ImageRecord, limit: u64) -> Result<Option<Bytes>, ImagesError> {
        self.originals.read(record, limit).await
    }

    /// Removes the record of one image from the current generation in every store.
    ///
    /// # Errors
    /// Fails if a store fails. A store that does not have the collection is not an error.
    pub async fn delete(&self, id: ImageId, collection: &CollectionName) -> Result<(), ImagesError> {
        let ids = [id];
        let physical = &self.stores.generations().resolve(collection, None)?.physical;
        let deleted = join_all(self.stores.iter().map(|store| store.delete(physical, &ids))).await;
        // It is possible that only one store has the collection.
        let errors = deleted.into_iter().filter_map(Result::err);
        match errors.into_iter().find(|error| !matches!(error, IndexError::UnknownCollection(_))) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}
