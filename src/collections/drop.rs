//! Drops a collection with all its generations, or one of its generations, in every store and in the ledger.

use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use tokio::sync::oneshot;

use crate::domain::{CollectionName, Generation, GenerationState, JobRecord};
use crate::index::{IndexError, Stores};
use crate::jobs::JobService;
use crate::jobs::error::JobsError;
use crate::jobs::job_failure::JobFailure;
use crate::jobs::service::Jobs;
use crate::ledger::objects::forget;
use crate::ledger::{LedgerError, pauses};
use crate::lock::lock;

impl Jobs {
    /// Drops a collection with all its generations from every store and deletes its rows from the ledger. Continues if the
    /// caller stops waiting.
    ///
    /// # Errors
    /// [`JobsError::CollectionBusy`] while a job writes to it; [`JobsError::Index`] if neither a store nor the ledger
    /// knows the collection, or if a store does not answer; [`JobsError::Draining`] if the service stops meanwhile.
    pub async fn drop_collection(&self, name: &str) -> Result<CollectionName, JobsError> {
        let collection = self.0.resolve(&CollectionName::parse(name)?)?.name;
        let (answer, answered) = oneshot::channel();
        let jobs = self.0.clone();
        self.0.tasks.spawn(async move {
            // Sending fails if the client has gone away, which is not an error.
            drop(answer.send(jobs.drop_now(&collection).await.map(|()| collection)));
        });
        // Only a panic of the task leaves no answer; the panic is in the log.
        answered.await.unwrap_or(Err(JobsError::Draining))
    }
}

impl JobService {
    async fn drop_now(&self, collection: &CollectionName) -> Result<(), JobsError> {
        let _reserved = self.reserve(collection).await?;
        let others: Vec<_> = self.stores.generations().list(collection).into_iter().map(|one| one.physical).collect();
        let others: Vec<_> = others.into_iter().filter(|physical| physical != collection).collect();
        let mut reserved = Vec::with_capacity(others.len());
        for physical in &others {
            reserved.push(self.reserve(physical).await?);
        }
        // A store that is down now and comes back later would still have its old records.
        try_join_all(self.stores.iter().map(|store| store.ready())).await?;
        let name = collection.clone();
        let known = self.ledger.write(move |tx| forget::begin_drop(tx, &name)).await?;
        self.reload_generations().await?;
        let mut dropped = false;
        for physical in others.iter().chain([collection]) {
            dropped |= self.finish_drop(&self.stores, physical).await?;
        }
        if known || dropped { Ok(()) } else { Err(IndexError::UnknownCollection(collection.clone()).into()) }
    }

    /// Drops one generation that is marked as being dropped. Does nothing while a job uses it.
    pub(crate) async fn drop_generation(&self, generation: &Generation) -> Result<(), JobsError> {
        let physical = &generation.physical;
        let _reserved = self.reserve(physical).await?;
        try_join_all(self.stores.iter().map(|store| store.ready())).await?;
        let name = physical.clone();
        self.ledger.write(move |tx| forget::mark_dropping(tx, &name)).await?;
        self.finish_drop(&self.stores, physical).await?;
        let (collection, number) = (&generation.collection, generation.number);
        tracing::info!(%collection, generation = number, "a generation of a collection was removed");
        Ok(())
    }

    /// Finishes a drop that has begun. Returns whether any store had the collection.
    ///
    /// The ledger's rows are deleted first. After a crash in between, images are read again, but the ledger never
    /// claims that a store has a record that is gone.
    async fn finish_drop(&self, stores: &Stores, collection: &CollectionName) -> Result<bool, JobsError> {
        loop {
            let name = collection.clone();
            if !self.ledger.write(move |tx| forget::forget_some(tx, &name)).await? {
                break;
            }
            if self.drain.is_cancelled() {
                return Err(JobsError::Draining);
            }
        }
        let results = join_all(stores.iter().map(|store| store.drop_collection(collection))).await;
        let mut dropped_any = false;
        for result in results {
            match result {
                Ok(()) => dropped_any = true,
                Err(IndexError::UnknownCollection(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // Before the end is recorded, so that a crash in between repeats it.
        self.stores.levels().forget(collection);
        self.drop_listener.report(collection);
        let name = collection.clone();
        self.ledger.write(move |tx| forget::end_drop(tx, &name)).await?;
        self.reload_generations().await?;
        self.models.forget(collection);
        Ok(dropped_any)
    }

    /// Finishes an interrupted drop of the job's collection before the job begins. Waits for a store that is down.
    pub(crate) async fn finish_drop_before(&self, job: &JobRecord) -> Result<(), JobFailure> {
        let collection = &job.spec.collection;
        if !self.ledger.read(forget::dropping).await?.contains(collection) {
            return Ok(());
        }
        self.ledger.log(job.id, format!("finishes the interrupted removal of collection {collection} first")).await?;
        match self.finish_drop(self.pipeline.stores(), collection).await {
            // If the service stops, the job stops too.
            Ok(_) | Err(JobsError::Draining) => Ok(()),
            Err(JobsError::Ledger(error)) => Err(JobFailure::Ledger(error)),
            Err(JobsError::Index(error)) => Err(JobFailure::Store(error)),
            Err(other) => {
                tracing::error!(job.id = %job.id, error = %other, "a collection could not be dropped");
                Ok(())
            }
        }
    }

    /// Continues the drops that the previous process did not finish, each in its own task.
    ///
    /// # Errors
    /// [`LedgerError`]
    pub(crate) async fn resume_drops(self: &Arc<Self>) -> Result<(), LedgerError> {
        for collection in self.ledger.read(forget::dropping).await? {
            // A single generation is dropped by the upkeep of the generations.
            let siblings = self.stores.generations().list(&self.stores.generations().owner(&collection));
            if siblings.iter().any(|one| one.state == GenerationState::Current) {
                continue;
            }
            let jobs = self.clone();
            self.tasks.spawn(async move {
                match jobs.drop_now(&collection).await {
                    // A job that has started on the collection meanwhile finishes the removal itself.
                    Ok(()) | Err(JobsError::CollectionBusy(_)) => {}
                    Err(error) => {
                        tracing::warn!(
                            %collection, %error,
                            "the removal of the collection is not finished; delete it again"
                        );
                    }
                }
            });
        }
        Ok(())
    }
}

/// Keeps jobs from starting on a collection until it is dropped.
pub(crate) struct Reserved<'a> {
    jobs: &'a JobService,
    collection: CollectionName,
}

impl JobService {
    /// Keeps jobs from starting on a collection, and stops the work on single keys of it.
    ///
    /// # Errors
    /// [`JobsError::CollectionBusy`] if a job runs on it or is paused, or if it is already reserved.
    pub(crate) async fn reserve(&self, collection: &CollectionName) -> Result<Reserved<'_>, JobsError> {
        // By the name that clients know, also for a generation.
        let busy = || JobsError::CollectionBusy(self.stores.generations().owner(collection));
        if !lock(&self.reserved).insert(collection.clone()) {
            return Err(busy());
        }
        // Reserved first and checked afterwards, so that no job can start in between (`start_next`).
        let reserved = Reserved { jobs: self, collection: collection.clone() };
        let running = self.running().await?;
        // After the running ones: a job that is paused meanwhile is among either of them.
        let paused = self.ledger.read(pauses::holding).await?;
        if running.iter().any(|job| job.spec.collection == *collection)
            || paused.iter().any(|(_, held)| held == collection)
            || !self.clear_lane(collection).await
        {
            return Err(busy());
        }
        Ok(reserved)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        lock(&self.jobs.reserved).remove(&self.collection);
        self.jobs.wake.notify_one();
    }
}
