//! Moves an unfinished job to another executor. What is done is kept; the new executor does the rest.

use std::time::Duration;

use crate::domain::{Executor, JobId, Secret};
use crate::jobs::error::JobsError;
use crate::jobs::remote::token;
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
        let job = self.0.known(id).await?;
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
            return Err(JobsError::AlreadyFinal(self.0.known(id).await?.state));
        };
        // Cloned first, so that the lock is held only briefly.
        let live = self.0.live().get(&job.id).cloned();
        if let Some(live) = live {
            live.move_to_executor(executor);
        }
        if let Some(submission) = placed {
            self.0.wind_up(job.id, submission, Duration::ZERO);
        }
        self.0.wake.notify_one();
        Ok(Moved { job: job.id, executor, worker_token })
    }
}
