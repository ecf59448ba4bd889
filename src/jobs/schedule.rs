//! Whose turn it is: jobs start as there is room, never two on one collection.

use std::sync::{Arc, PoisonError};

use super::{JobService, LEDGER_PAUSE};
use crate::domain::{Executor, JobId, JobRecord};
use crate::sqlite::SqliteError;

impl JobService {
    /// Starts jobs as there is room, until the process is asked to end.
    pub(super) async fn schedule(self: Arc<Self>) {
        while !self.drain.is_cancelled() {
            match self.start_next().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "looking for the next job"),
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.drain.cancelled() => {}
                // A ledger that failed is asked again.
                () = tokio::time::sleep(LEDGER_PAUSE) => {}
            }
        }
    }

    async fn start_next(self: &Arc<Self>) -> Result<bool, SqliteError> {
        let running: Vec<JobId> = self.live().keys().copied().collect();
        let mut busy: Vec<_> = self.reserved.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let mut at_work = Vec::new();
        for id in &running {
            if let Some(job) = self.ledger.job(*id).await? {
                busy.push(job.spec.collection);
                at_work.push(job.spec.executor);
            }
        }
        // Counted apart: a job whose workers do not come holds up none that is done here.
        let full = |executor: &Executor| {
            at_work.iter().filter(|at_work| *at_work == executor).count() >= self.settings.glimpse_jobs_at_once
        };
        let full = Executor::ALL.into_iter().filter(full).collect();
        let Some(job) = self.ledger.next_job(running, busy, full).await? else { return Ok(false) };
        // Under the lock: whoever reserves the collection after this sees the job, whoever did before is seen here.
        let reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if reserved.contains(&job.spec.collection) {
            return Ok(false);
        }
        self.launch(job);
        Ok(true)
    }

    pub(super) async fn running(&self) -> Result<Vec<JobRecord>, SqliteError> {
        let ids: Vec<JobId> = self.live().keys().copied().collect();
        let mut jobs = Vec::new();
        for id in ids {
            jobs.extend(self.ledger.job(id).await?);
        }
        Ok(jobs)
    }
}
