//! Images that clients remove permanently: the ledger has a row for each (`ledger::tombstones`), which keeps the image away at
//! jobs, events and uploads until a client revokes it. The object in the bucket is never changed.
//!
//! The row is written before the stores remove the record, in the transaction that forgets the object. If the process ends
//! in between, if a store is down, or if work in flight writes the record once more, [`sweep`] removes it later.

mod sweep;

use crate::domain::{CollectionName, ImageId, ImageUri, InvalidCollectionName};
use crate::index::IndexError;
use crate::jobs::{JobService, Jobs, JobsError};
use crate::ledger::objects::forget;
use crate::ledger::tombstones::{self, MAX_TOMBSTONES};
use crate::ledger::{LedgerError, TombstonePage, objects};

/// Why an image cannot be removed permanently or restored.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The collection does not contain an image with this id, or the id is malformed.
    #[error("there is no image `{id}` in the collection `{collection}`")]
    UnknownImage {
        /// The requested id.
        id: String,
        /// The requested collection.
        collection: CollectionName,
    },
    /// No image with this id was removed permanently.
    #[error("no image `{id}` was removed permanently from the collection `{collection}`")]
    NotRemoved {
        /// The requested id.
        id: String,
        /// The requested collection.
        collection: CollectionName,
    },
    /// The collection has the maximum number of images that were removed permanently.
    #[error(
        "{} images were removed permanently from the collection `{}`, which is the maximum; restore some, or exclude their \
         keys with `exclude` or S3_EXCLUDE",
        MAX_TOMBSTONES, .0
    )]
    TooMany(CollectionName),
    /// The collection cannot be used.
    #[error(transparent)]
    Jobs(#[from] JobsError),
}

impl From<LedgerError> for RemovalError {
    fn from(error: LedgerError) -> Self {
        Self::Jobs(error.into())
    }
}

impl From<IndexError> for RemovalError {
    fn from(error: IndexError) -> Self {
        Self::Jobs(error.into())
    }
}

impl From<InvalidCollectionName> for RemovalError {
    fn from(error: InvalidCollectionName) -> Self {
        Self::Jobs(error.into())
    }
}

impl Jobs {
    /// Removes the record of an image from every store, and keeps the image away until [`Jobs::restore_image`]. A repeated
    /// call changes nothing.
    ///
    /// # Errors
    /// [`RemovalError`]. If a store fails, the image is kept away all the same, and its record is removed when the store
    /// answers.
    pub async fn remove_permanently(&self, id: &str, collection: &str) -> Result<ImageId, RemovalError> {
        let collection = CollectionName::parse(collection)?;
        let busy = || JobsError::CollectionBusy(collection.clone());
        // Held until the end, so that a removal of the collection waits: no row is left after it.
        let _lane_use = self.0.enter_lane(&collection).ok_or_else(busy)?;
        let physical = self.0.resolve(&collection)?.physical;
        if self.0.ledger.read(forget::dropping).await?.contains(&physical) {
            return Err(busy().into());
        }
        let unknown = || RemovalError::UnknownImage { id: id.to_owned(), collection: collection.clone() };
        let image: ImageId = id.parse().map_err(|_| unknown())?;
        let uri = self.0.image_uri(&collection, &physical, image).await?.ok_or_else(unknown)?;
        let (name, removed) = (collection.clone(), uri.clone());
        let put = self.0.ledger.write(move |tx| {
            let is_put = tombstones::put(tx, &name, &removed)?;
            if is_put {
                objects::forget(tx, &physical, &removed)?;
            }
            Ok(is_put)
        });
        if !put.await? {
            return Err(RemovalError::TooMany(collection));
        }
        tracing::info!(%collection, image.uri = %uri, "image removed permanently by a client");
        self.0.remove_records(&collection, Some(uri)).await?;
        Ok(image)
    }

    /// Returns at most `limit` images that were removed permanently, the last removal first; with `after` only those that
    /// follow this number. A collection that does not exist has none.
    ///
    /// # Errors
    /// [`JobsError::Collection`], [`JobsError::Ledger`]
    pub async fn removed_images(
        &self,
        collection: &str,
        after: Option<i64>,
        limit: u32,
    ) -> Result<TombstonePage, JobsError> {
        let collection = self.0.resolve(&CollectionName::parse(collection)?)?.name;
        Ok(self.0.ledger.read(move |db| tombstones::page(db, &collection, after, limit)).await?)
    }

    /// Lets an image be indexed again that was removed permanently: the next job that lists it does, or an event.
    ///
    /// # Errors
    /// [`RemovalError`]
    pub async fn restore_image(&self, id: &str, collection: &str) -> Result<ImageId, RemovalError> {
        let collection = CollectionName::parse(collection)?;
        let unknown = || RemovalError::NotRemoved { id: id.to_owned(), collection: collection.clone() };
        let image: ImageId = id.parse().map_err(|_| unknown())?;
        // So that the sweep does not remove a record that is written after this.
        let _alone = self.0.sweep.lock().await;
        let name = collection.clone();
        let found = self.0.ledger.read(move |db| tombstones::find(db, &name, image)).await?;
        let tombstone = found.ok_or_else(unknown)?;
        if tombstone.is_pending {
            // The object can be gone, and then no job would remove the record.
            self.0.delete_records(&collection, &[image]).await?;
        }
        let (name, uri) = (collection.clone(), tombstone.uri.clone());
        self.0.ledger.write(move |tx| tombstones::revoke(tx, &name, &uri)).await?;
        tracing::info!(%collection, image.uri = %tombstone.uri, "image restored by a client");
        Ok(image)
    }
}

impl JobService {
    /// Returns the URI of an image that was removed permanently, or that a store has.
    async fn image_uri(
        &self,
        collection: &CollectionName,
        physical: &CollectionName,
        id: ImageId,
    ) -> Result<Option<ImageUri>, RemovalError> {
        let name = collection.clone();
        if let Some(tombstone) = self.ledger.read(move |db| tombstones::find(db, &name, id)).await? {
            return Ok(Some(tombstone.uri));
        }
        Ok(self.stores.find_record(physical, id).await?.map(|record| record.uri))
    }
}
