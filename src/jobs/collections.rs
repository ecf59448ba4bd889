//! What is done to a whole collection, in every store and in the ledger at once.

use futures::future::{join_all, try_join_all};

use super::service::{Jobs, JobsError};
use crate::domain::CollectionName;
use crate::index::IndexError;

impl Jobs {
    /// Drops a collection from every store and forgets what it held.
    ///
    /// # Errors
    /// [`JobsError::CollectionBusy`] while a job writes to it; [`JobsError::Index`] with an unknown collection, or with a
    /// store that does not answer: then nothing is dropped.
    pub async fn drop_collection(&self, name: &str) -> Result<CollectionName, JobsError> {
        let collection = CollectionName::parse(name)?;
        self.not_busy(&collection).await?;
        // One that came back later would bring its old records with it.
        try_join_all(self.0.stores.iter().map(|store| store.ready())).await?;
        // Forgotten first: a crash in between costs a new reading, not a wrong belief.
        self.0.ledger.forget_collection(collection.clone()).await?;
        let dropped = join_all(self.0.stores.iter().map(|store| store.drop_collection(&collection))).await;
        let mut unknown = None;
        let mut there = 0;
        for outcome in dropped {
            match outcome {
                Ok(()) => there += 1,
                Err(error @ IndexError::UnknownCollection(_)) => unknown = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        match unknown {
            Some(error) if there == 0 => Err(error.into()),
            Some(_) | None => Ok(collection),
        }
    }

    /// # Errors
    /// [`JobsError::CollectionBusy`] while a job writes to the collection.
    async fn not_busy(&self, collection: &CollectionName) -> Result<(), JobsError> {
        let running = self.0.running().await?;
        if running.iter().any(|job| job.spec.collection == *collection) {
            return Err(JobsError::CollectionBusy(collection.clone()));
        }
        Ok(())
    }
}
