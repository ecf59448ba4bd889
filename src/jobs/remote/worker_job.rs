//! A job, for the requests of its remote workers. Each request must have the job's token. No other key gives access to these
//! requests, and this token gives access to nothing else.

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;

use crate::domain::{Executor, JobId, JobRecord, JobState, Secret};
use crate::jobs::error::JobsError;
use crate::jobs::remote::protocol::token;
use crate::jobs::remote::protocol::wire::SummaryReply;
use crate::jobs::run::progress::RunningJob;
use crate::jobs::service::Jobs;
use crate::ledger::leases;
use crate::ledger::placements;

/// A job, for a request with its token.
#[derive(Debug)]
pub struct WorkerJob {
    pub(super) jobs: Jobs,
    pub(super) job: JobRecord,
    /// `None` while the job is not running.
    pub(super) running: Option<Arc<RunningJob>>,
}

impl Jobs {
    /// Makes a new worker token for a job. The previous token is not valid any more. The token cannot be read again
    /// later, since only its digest is kept.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]; [`JobsError::NoToken`] if the system gives no random bytes.
    pub async fn new_worker_token(&self, job: JobId) -> Result<Secret, JobsError> {
        let token = token::fresh().ok_or(JobsError::NoToken)?;
        let digest = token::digest(token.reveal());
        self.0.ledger.write(move |tx| placements::set_token(tx, job, &digest)).await?;
        Ok(token)
    }

    /// Checks the token of a worker's request and returns the job.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::WorkerToken`], [`JobsError::Ledger`]
    pub async fn admit(&self, id: &str, token: Option<&str>) -> Result<WorkerJob, JobsError> {
        let job = self.0.find_job(id).await?;
        let id = job.id;
        let expected = self.0.ledger.read(move |db| placements::token(db, id)).await?.unwrap_or_default();
        let given = token.map(token::digest).unwrap_or_default();
        // Both digests have the same length, or one is empty, so the comparison reveals nothing about the token.
        let same = !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(given.as_bytes()));
        if !same {
            return Err(JobsError::WorkerToken);
        }
        let running = self.0.running_jobs().get(&job.id).cloned();
        let job = self.0.with_physical_name(job)?;
        Ok(WorkerJob { jobs: self.clone(), job, running })
    }
}

impl WorkerJob {
    /// Returns the status of the job. The only request that is also answered after the job's end.
    ///
    /// # Errors
    /// [`JobsError::Ledger`]
    pub async fn summary(&self) -> Result<SummaryReply, JobsError> {
        let (status, left) = (self.job.state.as_str().to_owned(), self.job.counts.left());
        // Steps after the last image, such as the removal of vanished records, need no workers.
        let over = self.job.state.is_final() && self.running.is_none();
        let terminal = over || self.is_complete().await?;
        Ok(SummaryReply { terminal, status, left })
    }

    /// Fails if the job has ended. A stopped job still accepts reports until its workers have left.
    pub(super) fn check_not_ended(&self) -> Result<(), JobsError> {
        if self.job.state.is_final() && self.running.is_none() {
            Err(JobsError::JobEnded(self.job.state))
        } else {
            Ok(())
        }
    }

    /// Returns whether `running` is the current run of the job.
    pub(super) fn is_current_run(&self, running: &Arc<RunningJob>) -> bool {
        self.jobs.0.running_jobs().get(&self.job.id).is_some_and(|current| Arc::ptr_eq(current, running))
    }

    /// Returns the running job; `None` while the service stops, so that workers wait until it is back.
    pub(super) fn at_work(&self) -> Option<&Arc<RunningJob>> {
        self.running.as_ref().filter(|_| !self.jobs.0.drain.is_cancelled())
    }

    /// Returns whether a worker must end. While the job is paused, workers that a user has started wait, and those of a cluster
    /// end, so that the cluster is free for other work.
    pub(super) fn must_stop(&self) -> bool {
        match self.at_work() {
            Some(running) if running.is_paused() => self.job.spec.executor == Executor::Ray,
            Some(running) => running.stop.is_cancelled(),
            None => self.job.state == JobState::Paused && self.job.spec.executor == Executor::Ray,
        }
    }

    pub(super) fn lease_time(&self) -> Duration {
        self.jobs.0.settings.glimpse_lease_seconds.duration()
    }

    pub(super) async fn is_complete(&self) -> Result<bool, JobsError> {
        let id = self.job.id;
        Ok(self.jobs.0.ledger.read(move |db| leases::is_complete(db, id)).await?)
    }
}

pub(super) fn record_request(running: &RunningJob, worker: &str) -> Result<(), JobsError> {
    if running.remote_workers.record_request(worker, 0) { Ok(()) } else { Err(JobsError::NotJoined(worker.to_owned())) }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
