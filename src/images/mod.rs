//! One indexed image: its record, its thumbnail, its original, and its removal. The object in the bucket is never touched.

mod cache;
mod flights;
mod objects;
mod originals;
mod reader;
mod settings;
mod stream;
mod thumbnails;

use futures::future::join_all;

use crate::domain::{CollectionName, DependencyError, ImageId, ImageRecord, ImageUri, InvalidCollectionName};
use crate::imaging::ImageError;
use crate::index::{IndexError, Stores};
use crate::source::EncodingError;

pub use originals::{Original, Originals};
pub use settings::ImagesSettings;
pub use thumbnails::{Thumbnail, Thumbnails};

/// The indexed images. Clones share them.
#[derive(Clone, Debug)]
pub struct Images {
    stores: Stores,
    thumbnails: Thumbnails,
    originals: Originals,
}

/// Why an image cannot be shown.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImagesError {
    /// No image has that id in that collection; also for an id that is none.
    #[error("there is no image `{id}` in the collection `{collection}`")]
    Unknown {
        /// As it was asked for.
        id: String,
        /// Where.
        collection: CollectionName,
    },
    /// A malformed collection name.
    #[error(transparent)]
    Collection(#[from] InvalidCollectionName),
    /// It is indexed, but its object is no longer in the bucket.
    #[error("the object {0} is no longer in the bucket")]
    Vanished(ImageUri),
    /// Its object is no image any more.
    #[error(transparent)]
    Image(ImageError),
    /// Its object's `Content-Encoding` cannot be decoded.
    #[error("the object cannot be shown: {0}")]
    Encoding(EncodingError),
    /// The bucket will not hand it out; what it said is in the log.
    #[error("the bucket does not hand out the object; the log has the details")]
    Refused,
    /// The bucket failed.
    #[error(transparent)]
    Dependency(DependencyError),
    /// Too many originals are on their way out, or too many thumbnails are being made.
    #[error("too many images are being sent or prepared at once; try again in a moment")]
    Busy,
    /// A decoder panicked over it.
    #[error("the image could not be decoded")]
    Panicked,
    /// The store refused or failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Images {
    /// The images of these stores.
    pub fn new(stores: Stores, thumbnails: Thumbnails, originals: Originals) -> Self {
        Self { stores, thumbnails, originals }
    }

    /// The record of one image.
    ///
    /// # Errors
    /// [`ImagesError`]
    pub async fn get(&self, id: &str, collection: &str) -> Result<(CollectionName, ImageRecord), ImagesError> {
        let collection = CollectionName::parse(collection)?;
        let found = match id.parse::<ImageId>() {
            Ok(id) => self.stores.find(&collection, id).await?,
            Err(_) => None,
        };
        match found {
            Some(record) => Ok((collection, record)),
            None => Err(ImagesError::Unknown { id: id.to_owned(), collection }),
        }
    }

    /// The thumbnail of an indexed image.
    ///
    /// # Errors
    /// [`ImagesError`]
    pub async fn thumbnail(&self, record: &ImageRecord) -> Result<Thumbnail, ImagesError> {
        self.thumbnails.of(record).await
    }

    /// The file that an indexed image was made from, as it is now.
    ///
    /// # Errors
    /// [`ImagesError`]
    pub async fn original(&self, record: &ImageRecord) -> Result<Original, ImagesError> {
        self.originals.of(record).await
    }

    /// Removes the record of one image from every store.
    ///
    /// # Errors
    /// [`ImagesError`]
    pub async fn delete(&self, id: ImageId, collection: &CollectionName) -> Result<(), ImagesError> {
        let ids = [id];
        let deleted = join_all(self.stores.iter().map(|store| store.delete(collection, &ids))).await;
        // Only one may have the collection at all.
        let failed = deleted.into_iter().filter_map(Result::err);
        match failed.into_iter().find(|error| !matches!(error, IndexError::UnknownCollection(_))) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}
