//! One indexed image: its record, and its removal. The object in the bucket is never touched.

use crate::domain::{CollectionName, ImageId, ImageRecord, InvalidCollectionName};
use crate::index::{IndexError, Stores};

/// The indexed images. Clones share them.
#[derive(Clone, Debug)]
pub struct Images {
    stores: Stores,
}

/// Why an image cannot be shown.
#[derive(Debug, thiserror::Error)]
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
    /// The store refused or failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Images {
    /// The images of these stores.
    pub fn new(stores: Stores) -> Self {
        Self { stores }
    }

    /// The record of one image.
    ///
    /// # Errors
    /// [`ImagesError`]
    pub async fn get(&self, id: &str, collection: &str) -> Result<(CollectionName, ImageRecord), ImagesError> {
        let collection = CollectionName::parse(collection)?;
        let found = match id.parse::<ImageId>() {
            Ok(id) => self.stores.default_store().get(&collection, &[id]).await?.pop(),
            Err(_) => None,
        };
        match found {
            Some(record) => Ok((collection, record)),
            None => Err(ImagesError::Unknown { id: id.to_owned(), collection }),
        }
    }

    /// Removes the record of one image from every store.
    ///
    /// # Errors
    /// [`ImagesError`]
    pub async fn delete(&self, id: ImageId, collection: &CollectionName) -> Result<(), ImagesError> {
        for store in self.stores.iter() {
            store.delete(collection, &[id]).await?;
        }
        Ok(())
    }
}
