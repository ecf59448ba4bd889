//! What is done to a whole collection, in every store and in the ledger at once.

use std::sync::PoisonError;

use futures::future::{join_all, try_join_all};

use super::Inner;
use super::error::JobsError;
use super::service::Jobs;
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
        let _reserved = self.0.reserve(&collection).await?;
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
}

/// No job begins on the collection while this is held.
pub(super) struct Reserved<'a> {
    jobs: &'a Inner,
    collection: CollectionName,
}

impl Inner {
    /// Keeps jobs from beginning on a collection.
    ///
    /// # Errors
    /// [`JobsError::CollectionBusy`] where one runs on it, or it is reserved already.
    pub(super) async fn reserve(&self, collection: &CollectionName) -> Result<Reserved<'_>, JobsError> {
        let busy = || JobsError::CollectionBusy(collection.clone());
        if !self.reserved.lock().unwrap_or_else(PoisonError::into_inner).insert(collection.clone()) {
            return Err(busy());
        }
        // Reserved first, looked at afterwards: no job can begin in between (`start_next`).
        let reserved = Reserved { jobs: self, collection: collection.clone() };
        let running = self.running().await?;
        if running.iter().any(|job| job.spec.collection == *collection) { Err(busy()) } else { Ok(reserved) }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.jobs.reserved.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.collection);
        self.jobs.wake.notify_one();
    }
}
