//! Pauses jobs and resumes them.

use crate::domain::JobId;
use crate::jobs::error::JobsError;
use crate::jobs::service::Jobs;
use crate::ledger::pauses;

impl Jobs {
    /// Pauses a job that has not ended, until [`Jobs::resume`]. It starts no more images; the images in flight are finished.
    /// Its listing, its work and its place in the queue stay, also if the service is restarted. A job that is paused already
    /// does not change.
    ///
    /// # Errors
    /// [`JobsError::AlreadyFinal`], [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn pause(&self, id: &str) -> Result<JobId, JobsError> {
        let id = self.0.find_job(id).await?.id;
        let is_new = self.0.ledger.write(move |tx| pauses::pause(tx, id)).await?;
        self.check_not_final(id).await?;
        let running = self.0.running_jobs().get(&id).cloned();
        if let Some(running) = &running {
            running.pause();
        }
        if is_new {
            tracing::info!(job.id = %id, "job paused by a client");
            let in_flight = if running.is_some() { ": the images in flight are finished" } else { "" };
            self.0.ledger.log(id, format!("paused by a client{in_flight}")).await?;
        }
        Ok(id)
    }

    /// Resumes a paused job. It starts when it is its turn, before jobs that were submitted later. A job that is not paused
    /// does not change.
    ///
    /// # Errors
    /// [`JobsError::AlreadyFinal`], [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn resume(&self, id: &str) -> Result<JobId, JobsError> {
        let id = self.0.find_job(id).await?.id;
        let is_new = self.0.ledger.write(move |tx| pauses::resume(tx, id)).await?;
        self.check_not_final(id).await?;
        if is_new {
            tracing::info!(job.id = %id, "job resumed by a client");
            self.0.ledger.log(id, "resumed by a client".to_owned()).await?;
            self.0.wake.notify_one();
        }
        Ok(id)
    }

    async fn check_not_final(&self, id: JobId) -> Result<(), JobsError> {
        let state = self.0.find_job(&id.to_string()).await?.state;
        if state.is_final() { Err(JobsError::AlreadyFinal(state)) } else { Ok(()) }
    }
}
