//! The generation of a collection that a job or a request works on.

use crate::domain::{CollectionName, Generation, GenerationState, JobRecord, JobSpec, Rebuild};
use crate::index::IndexError;
use crate::index::several_stores::Resolved;
use crate::jobs::JobService;
use crate::ledger::{LedgerError, generations};

impl JobService {
    /// Returns the current generation of a collection.
    pub(crate) fn resolve(&self, collection: &CollectionName) -> Result<Resolved, IndexError> {
        self.stores.generations().resolve(collection, None)
    }

    /// Replaces the name for clients in a job by the name in the stores. The current generation does not change while a job
    /// of the collection runs.
    pub(crate) fn with_physical_name(&self, job: JobRecord) -> Result<JobRecord, IndexError> {
        if let Some(Rebuild { collection, number }) = &job.spec.rebuild {
            let built = [GenerationState::Building, GenerationState::Ready];
            let is_built = |one: &Generation| one.physical == job.spec.collection && built.contains(&one.state);
            return if self.stores.generations().list(collection).iter().any(is_built) {
                Ok(job)
            } else {
                Err(IndexError::NoGeneration { collection: collection.clone(), number: *number })
            };
        }
        let collection = self.resolve(&job.spec.collection)?.physical;
        Ok(JobRecord { spec: JobSpec { collection, ..job.spec }, ..job })
    }

    /// Returns the name in the stores of the generation whose images a rebuild takes: the current one.
    pub(crate) fn source_generation(&self, job: &JobRecord) -> Result<Option<CollectionName>, IndexError> {
        let rebuild = job.spec.rebuild.as_ref();
        rebuild.map(|rebuild| Ok(self.resolve(&rebuild.collection)?.physical)).transpose()
    }

    /// Records that a rebuild is complete.
    pub(crate) async fn end_rebuild(&self, job: &JobRecord) -> Result<(), LedgerError> {
        if job.spec.rebuild.is_none() {
            return Ok(());
        }
        let physical = job.spec.collection.clone();
        self.ledger.write(move |tx| generations::set_ready(tx, &physical)).await?;
        self.reload_generations().await
    }

    /// Reads the generations from the ledger into memory, after each change of them.
    pub(crate) async fn reload_generations(&self) -> Result<(), LedgerError> {
        // By the connection that writes: its transactions are read here in their order.
        let generations = self.stores.generations().clone();
        self.ledger
            .write(move |tx| {
                generations.replace(generations::all(tx)?);
                Ok(())
            })
            .await
    }
}
