//! What is done to a whole collection, in every store and in the ledger at once.

use std::sync::{Arc, PoisonError};

use futures::future::{join_all, try_join_all};
use tokio::sync::oneshot;

use super::JobService;
use super::error::JobsError;
use super::service::Jobs;
use super::trouble::JobTrouble;
use crate::domain::{CollectionName, JobRecord};
use crate::index::{IndexError, Stores};
use crate::sqlite::SqliteError;

impl Jobs {
    /// Drops a collection from every store and forgets what it held. Goes on if the caller does not wait for its end.
    ///
    /// # Errors
    /// [`JobsError::CollectionBusy`] while a job writes to it; [`JobsError::Index`] with a collection that neither a store
    /// nor the ledger knows, or with a store that does not answer; [`JobsError::Draining`] if the service stops meanwhile.
    pub async fn drop_collection(&self, name: &str) -> Result<CollectionName, JobsError> {
        let collection = CollectionName::parse(name)?;
        let (answer, answered) = oneshot::channel();
        let jobs = self.0.clone();
        self.0.tasks.spawn(async move {
            // The client may have gone away.
            drop(answer.send(jobs.drop_now(&collection).await.map(|()| collection)));
        });
        // Only a panic leaves no answer; the log has it.
        answered.await.unwrap_or(Err(JobsError::Draining))
    }
}

impl JobService {
    async fn drop_now(&self, collection: &CollectionName) -> Result<(), JobsError> {
        let _reserved = self.reserve(collection).await?;
        // One that came back later would bring its old records with it.
        try_join_all(self.stores.iter().map(|store| store.ready())).await?;
        let known = self.ledger.begin_drop(collection.clone()).await?;
        let dropped = self.finish_drop(&self.stores, collection).await?;
        if known || dropped { Ok(()) } else { Err(IndexError::UnknownCollection(collection.clone()).into()) }
    }

    /// Does what a drop that has begun still has to do. Returns whether any store had the collection.
    ///
    /// The ledger forgets first: a crash in between costs a new reading, not a wrong belief.
    async fn finish_drop(&self, stores: &Stores, collection: &CollectionName) -> Result<bool, JobsError> {
        while self.ledger.forget_some(collection.clone()).await? {
            if self.drain.is_cancelled() {
                return Err(JobsError::Draining);
            }
        }
        let dropped = join_all(stores.iter().map(|store| store.drop_collection(collection))).await;
        let mut there = false;
        for outcome in dropped {
            match outcome {
                Ok(()) => there = true,
                Err(IndexError::UnknownCollection(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.ledger.end_drop(collection.clone()).await?;
        Ok(there)
    }

    /// A drop of the job's collection that a crash or a store interrupted comes to its end before the job begins. A store
    /// that is down is waited for.
    pub(super) async fn finish_drop_before(&self, job: &JobRecord) -> Result<(), JobTrouble> {
        let collection = &job.spec.collection;
        if !self.ledger.dropping().await?.contains(collection) {
            return Ok(());
        }
        self.ledger.log(job.id, format!("finishes the removal of collection {collection} first")).await?;
        match self.finish_drop(self.pipeline.stores(), collection).await {
            // While the service stops, the job stops too.
            Ok(_) | Err(JobsError::Draining) => Ok(()),
            Err(JobsError::Ledger(error)) => Err(JobTrouble::Ledger(error)),
            Err(JobsError::Index(error)) => Err(JobTrouble::Store(error)),
            Err(other) => {
                tracing::error!(job.id = %job.id, error = %other, "a collection could not be dropped");
                Ok(())
            }
        }
    }

    /// Goes on with the drops that the process before did not finish, beside everything else.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub(super) async fn resume_drops(self: &Arc<Self>) -> Result<(), SqliteError> {
        for collection in self.ledger.dropping().await? {
            let jobs = self.clone();
            self.tasks.spawn(async move {
                match jobs.drop_now(&collection).await {
                    // A job that has begun on it meanwhile finishes the removal itself.
                    Ok(()) | Err(JobsError::CollectionBusy(_)) => {}
                    Err(error) => {
                        tracing::warn!(%collection, %error, "its removal is not finished; delete it again");
                    }
                }
            });
        }
        Ok(())
    }
}

/// No job begins on the collection while this is held.
pub(super) struct Reserved<'a> {
    jobs: &'a JobService,
    collection: CollectionName,
}

impl JobService {
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
