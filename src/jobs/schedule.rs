//! Whose turn it is: jobs start as there is room, never two on one collection.

use std::sync::{Arc, PoisonError};

use super::{Inner, LEDGER_PAUSE};
use crate::domain::{JobId, JobRecord};
use crate::sqlite::SqliteError;

impl Inner {
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
        if running.len() >= self.settings.glimpse_jobs_at_once {
            return Ok(false);
        }
        let mut busy: Vec<_> = self.reserved.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        for id in &running {
            busy.extend(self.ledger.job(*id).await?.map(|job| job.spec.collection));
        }
        let Some(job) = self.ledger.next_job(running, busy).await? else { return Ok(false) };
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
