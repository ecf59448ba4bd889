//! Removes the records of images that were removed permanently, if a store may still have them.

use std::time::Duration;

use futures::future::try_join_all;

use crate::domain::{CollectionName, ImageId, ImageUri};
use crate::index::IndexError;
use crate::jobs::{JobService, JobsError};
use crate::ledger::tombstones;

/// Records of one call to each store.
const BATCH: u32 = 500;
/// The pause between two looks into the ledger: for so long at most can a search find a record that work in flight has written.
const INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(10);

impl JobService {
    /// Removes records until the service is asked to stop.
    pub(crate) async fn keep_removed(&self) {
        let keep = async {
            loop {
                let swept = self.sweep_all().await;
                if let Err(error) = &swept {
                    tracing::warn!(%error, "records of permanently removed images are still in a store; tried again later");
                }
                tokio::time::sleep(if swept.is_ok() { INTERVAL } else { RETRY_DELAY }).await;
            }
        };
        self.drain.run_until_cancelled(keep).await;
    }

    async fn sweep_all(&self) -> Result<(), JobsError> {
        for collection in self.ledger.read(tombstones::pending_collections).await? {
            // A verification is not disturbed, and a removal of the collection removes the records itself.
            let Some(lane_use) = self.enter_lane(&collection) else { continue };
            while !lane_use.stop.is_cancelled() && self.remove_records(&collection, None).await? {}
        }
        Ok(())
    }

    /// Removes the record of one image or of some images of a collection, if a store may have it. Returns `false` if there
    /// was nothing to remove.
    pub(crate) async fn remove_records(
        &self,
        collection: &CollectionName,
        uri: Option<ImageUri>,
    ) -> Result<bool, JobsError> {
        let _alone = self.sweep.lock().await;
        let name = collection.clone();
        let removals = self.ledger.read(move |db| tombstones::pending(db, &name, uri.as_ref(), BATCH)).await?;
        if removals.is_empty() {
            return Ok(false);
        }
        let ids: Vec<ImageId> = removals.iter().map(|removal| removal.uri.id()).collect();
        self.delete_records(collection, &ids).await?;
        let name = collection.clone();
        self.ledger.write(move |tx| tombstones::removed(tx, &name, &removals)).await?;
        Ok(true)
    }

    /// Removes records from every generation of a collection in every store. It is possible that only one store has them.
    pub(crate) async fn delete_records(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        let mut physical: Vec<_> =
            self.stores.generations().list(collection).into_iter().map(|one| one.physical).collect();
        if physical.is_empty() {
            physical.push(collection.clone());
        }
        for physical in &physical {
            self.delete_in_stores(physical, ids).await?;
        }
        Ok(())
    }

    /// Removes records of one generation from every store.
    pub(crate) async fn delete_in_stores(&self, physical: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        let deleted = self.stores.iter().map(|store| async move {
            match store.delete(physical, ids).await {
                Ok(()) | Err(IndexError::UnknownCollection(_)) => Ok(()),
                Err(error) => Err(error),
            }
        });
        try_join_all(deleted).await.map(drop)
    }
}
