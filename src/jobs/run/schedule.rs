//! The scheduler: it starts waiting jobs while there are free slots, but never two jobs on one collection.

use std::sync::Arc;

use crate::domain::{Executor, JobId, JobRecord};
use crate::jobs::{JobService, LEDGER_RETRY_DELAY};
use crate::ledger::{LedgerError, jobs};
use crate::lock::lock;

impl JobService {
    /// Starts jobs while there are free slots, until the process is asked to stop.
    pub(crate) async fn schedule(self: Arc<Self>) {
        while !self.drain.is_cancelled() {
            match self.start_next().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the next job could not be read from the ledger"),
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.drain.cancelled() => {}
                // Tries again after a failure of the ledger.
                () = tokio::time::sleep(LEDGER_RETRY_DELAY) => {}
            }
        }
    }

    async fn start_next(self: &Arc<Self>) -> Result<bool, LedgerError> {
        let running: Vec<JobId> = self.running_jobs().keys().copied().collect();
        let mut busy: Vec<_> = lock(&self.reserved).iter().cloned().collect();
        let mut running_executors = Vec::new();
        for id in &running {
            if let Some(job) = self.ledger.job(*id).await? {
                busy.push(job.spec.collection);
                running_executors.push(job.spec.executor);
            }
        }
        // Counted per executor: a job that waits for its remote workers does not block local jobs.
        let full = |executor: &Executor| {
            running_executors.iter().filter(|running| *running == executor).count()
                >= self.settings.glimpse_jobs_at_once
        };
        let full: Vec<_> = Executor::ALL.into_iter().filter(full).collect();
        let next = self.ledger.read(move |db| jobs::next(db, &running, &busy, &full)).await?;
        let Some(job) = next else { return Ok(false) };
        // Started under the lock: a later reservation of the collection finds the job, and an earlier one is found
        // here.
        let reserved = lock(&self.reserved);
        if reserved.contains(&job.spec.collection) {
            return Ok(false);
        }
        self.spawn_job(job);
        Ok(true)
    }

    pub(crate) async fn running(&self) -> Result<Vec<JobRecord>, LedgerError> {
        let ids: Vec<JobId> = self.running_jobs().keys().copied().collect();
        let mut jobs = Vec::new();
        for id in ids {
            jobs.extend(self.ledger.job(id).await?);
        }
        Ok(jobs)
    }
}
