//! The operations on jobs for the API and the command line.

mod control;
mod retry;
mod submit;
pub(crate) mod tally;
mod view;

pub use control::Moved;
pub use submit::{RETRY_WHEN_FULL, Submission};
pub use view::JobView;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::domain::{JobId, JobRecord, JobState};
use crate::jobs::error::JobsError;
use crate::jobs::remote::clock::Clock;
use crate::jobs::{JobParts, JobService};
use crate::ledger::jobs::Finish;
use crate::ledger::{Ledger, LedgerError, jobs, leases, prune};

/// The job service. Clones share the same service.
#[derive(Clone, Debug)]
pub struct Jobs(pub(crate) Arc<JobService>);

impl Jobs {
    /// Starts the service: ends the leases of the previous process and continues its unfinished work.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read.
    pub async fn start(parts: JobParts) -> Result<Self, LedgerError> {
        let JobParts { ledger, pipeline, stores, settings, default_bucket, allowed_buckets, .. } = parts;
        let JobParts { thumbnail_prefix, exclude, placing, waiting, drain, tasks, .. } = parts;
        tally::begin();
        if let Err(error) = end_previous(&ledger).await {
            // The service also starts if the disk is full. Its jobs wait for space and then take these leases back.
            if !error.may_pass() {
                return Err(error);
            }
            tracing::error!(%error, "the leases of the previous process could not be ended; its jobs end them later");
        }
        if !settings.glimpse_resume {
            stop_unfinished(&ledger).await?;
        }
        let jobs = Self(Arc::new(JobService {
            ledger,
            pipeline,
            stores,
            settings,
            default_bucket,
            allowed_buckets,
            thumbnail_prefix,
            exclude,
            placing,
            waiting,
            drain,
            tasks,
            clock: Clock::start(),
            live: Mutex::new(HashMap::new()),
            reserved: Mutex::new(HashSet::new()),
            wake: Notify::new(),
        }));
        jobs.0.resume_drops().await?;
        Ok(jobs)
    }

    /// Starts jobs while there are free slots, until the service is asked to stop. No job starts before this is polled.
    pub fn scheduler(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.clone().schedule()
    }

    /// Returns whether the service is stopping.
    pub fn is_draining(&self) -> bool {
        self.0.drain.is_cancelled()
    }

    /// Completes when the service is asked to stop, so that streams of events end.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.drain.clone().cancelled_owned()
    }
}

/// Ends the local leases of the previous process, and removes what a crash left of finished jobs.
async fn end_previous(ledger: &Ledger) -> Result<(), LedgerError> {
    ledger.in_steps(prune::clear_finished()).await?;
    tally::failed(&ledger.write(leases::deaths::end_local_leases).await?.failed);
    Ok(())
}

/// Ends every unfinished job as stopped.
async fn stop_unfinished(ledger: &Ledger) -> Result<(), LedgerError> {
    let unfinished = ledger.read(jobs::unfinished).await?;
    for id in &unfinished {
        let message = Some("stopped: the service was restarted with GLIMPSE_RESUME=false".to_owned());
        tally::finish(ledger, *id, Finish { state: JobState::Stopped, message, summary: None }).await?;
        ledger.in_steps(jobs::clear(*id)).await?;
    }
    tracing::info!(jobs = unfinished.len(), "unfinished jobs are stopped, because GLIMPSE_RESUME is false");
    Ok(())
}

impl JobService {
    pub(crate) async fn find_job(&self, id: &str) -> Result<JobRecord, JobsError> {
        let unknown = || JobsError::Unknown(id.to_owned());
        let id: JobId = id.parse().map_err(|_| unknown())?;
        self.ledger.job(id).await?.ok_or_else(unknown)
    }
}
