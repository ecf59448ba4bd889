//! A job that is under way goes to another executor: what is done stays done, what is left goes on there.

use std::time::Duration;

use super::error::JobsError;
use super::service::Jobs;
use super::token;
use crate::domain::{Executor, JobId, Secret};

/// A job that goes on elsewhere.
#[derive(Debug)]
pub struct Moved {
    /// Which.
    pub job: JobId,
    /// Who goes on with it.
    pub executor: Executor,
    /// With [`Executor::Workers`]: the token of its new workers, told once.
    pub worker_token: Option<Secret>,
}

impl Jobs {
    /// Gives a job that has not ended to another executor. Its workers elsewhere are refused from that moment, and what they
    /// had is given back; the pool here finishes what is in flight. An executor that has it already keeps it, but for
    /// workers that start by themselves: these are given a new token.
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
        let Some(placed) = self.0.ledger.hand_over(job.id, executor, digest).await? else {
            return Err(JobsError::AlreadyFinal(self.0.known(id).await?.state));
        };
        // Bound first: the lock must not be held for long.
        let live = self.0.live().get(&job.id).cloned();
        if let Some(live) = live {
            live.go_to(executor);
        }
        if let Some(submission) = placed {
            self.0.wind_up(job.id, submission, Duration::ZERO);
        }
        self.0.wake.notify_one();
        Ok(Moved { job: job.id, executor, worker_token })
    }
}
