//! What clients do with jobs that exist: stop, move to another executor, remove.

use std::time::Duration;

use crate::domain::{CollectionName, Executor, ImageUri, JobId, JobState, Secret};
use crate::jobs::error::JobsError;
use crate::jobs::service::finish::finish_job;
use crate::ledger::jobs::Finish;
use crate::ledger::{jobs, objects, prune};

use crate::jobs::remote::protocol::token;
use crate::jobs::service::Jobs;
use crate::ledger::placements::{self, HandOver};

/// A job that was moved to another executor.
#[derive(Debug)]
pub struct Moved {
    /// The job.
    pub job: JobId,
    /// Its new executor.
    pub executor: Executor,
    /// With [`Executor::Workers`]: the token of its new workers, which is returned only once.
    pub worker_token: Option<Secret>,
}

impl Jobs {
    /// Stops a job. It starts no more images; the images that it has indexed stay.
    ///
    /// # Errors
    /// [`JobsError::AlreadyFinal`], [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn stop(&self, id: &str) -> Result<JobId, JobsError> {
        let job = self.0.find_job(id).await?;
        let message = Some("stopped by a client".to_owned());
        let finish = Finish { state: JobState::Stopped, message, summary: None };
        if !finish_job(&self.0.ledger, job.id, finish).await? {
            return Err(JobsError::AlreadyFinal(self.0.find_job(id).await?.state));
        }
        tracing::info!(job.id = %job.id, "job stopped by a client");
        // Cloned first, so that the lock is not held while waiting for the ledger.
        let running = self.0.running_jobs().get(&job.id).cloned();
        match running {
            Some(running) => {
                running.stop.cancel();
                let line = "stopped by a client: the images in flight are finished".to_owned();
                self.0.ledger.log(job.id, line).await?;
            }
            None => self.0.ledger.in_steps(jobs::clear(job.id)).await?,
        }
        Ok(job.id)
    }

    /// Deletes all ended jobs except the newest `keep`, with their logs and failures. Returns how many were deleted.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn prune(&self, keep: u64) -> Result<u64, JobsError> {
        Ok(self.0.ledger.in_steps(prune::prune(keep)).await?)
    }

    /// Deletes one object of a collection from the ledger, before its record is deleted from the stores.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn forget(&self, collection: &CollectionName, uri: &ImageUri) -> Result<(), JobsError> {
        let (collection, uri) = (self.0.resolve(collection)?.physical, uri.clone());
        Ok(self.0.ledger.write(move |tx| objects::forget(tx, &collection, &uri)).await?)
    }

    /// Moves a job that has not ended to another executor. From then on its remote workers are refused, and their
    /// leases are given back; the local pool finishes its items in flight. If the job has this executor already,
    /// nothing changes, except for [`Executor::Workers`]: the job gets a new worker token.
    ///
    /// # Errors
    /// [`JobsError::AlreadyFinal`], [`JobsError::NoCluster`], [`JobsError::Cluster`], [`JobsError::Draining`],
    /// [`JobsError::Unknown`], [`JobsError::Ledger`]
    pub async fn move_to(&self, id: &str, executor: Executor) -> Result<Moved, JobsError> {
        if self.0.drain.is_cancelled() {
            return Err(JobsError::Draining);
        }
        let job = self.0.find_job(id).await?;
        if job.state.is_final() {
            return Err(JobsError::AlreadyFinal(job.state));
        }
        let worker_token = match executor {
            Executor::Workers => Some(token::fresh().ok_or(JobsError::NoToken)?),
            Executor::Local | Executor::Ray => None,
        };
        if job.spec.executor == executor && worker_token.is_none() {
            return Ok(Moved { job: job.id, executor, worker_token });
        }
        self.0.check_executor(executor).await?;
        let digest = worker_token.as_ref().map(|token| token::digest(token.reveal()));
        let handed_over =
            self.0.ledger.write(move |tx| placements::hand_over(tx, job.id, executor, digest.as_deref())).await?;
        let HandOver::Done { placed } = handed_over else {
            return Err(JobsError::AlreadyFinal(self.0.find_job(id).await?.state));
        };
        // Cloned first, so that the lock is held only briefly.
        let running = self.0.running_jobs().get(&job.id).cloned();
        if let Some(running) = running {
            running.move_to_executor(executor);
        }
        if let Some(submission) = placed {
            self.0.end_placement(job.id, submission, Duration::ZERO);
        }
        self.0.wake.notify_one();
        Ok(Moved { job: job.id, executor, worker_token })
    }
}
