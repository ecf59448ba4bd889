//! The operations on jobs for the API and the command line.

mod control;
pub(crate) mod finish;
mod pause;
mod resume;
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

use crate::domain::{JobId, JobRecord};
use crate::jobs::error::JobsError;
use crate::jobs::lane_gate::LaneGate;
use crate::jobs::remote::clock::Clock;
use crate::jobs::{JobParts, JobService};
use crate::ledger::LedgerError;

/// The job service. Clones share the same service.
#[derive(Clone, Debug)]
pub struct Jobs(pub(crate) Arc<JobService>);

impl Jobs {
    /// Starts the service: ends the leases of the previous process and continues its unfinished work.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read.
    pub async fn start(parts: JobParts) -> Result<Self, LedgerError> {
        let JobParts { ledger, pipeline, models, stores, settings, default_bucket, allowed_buckets, .. } = parts;
        let JobParts { thumbnail_prefix, exclude, placing, waiting, disk, drop_listener, drain, tasks, .. } = parts;
        tally::create_series();
        resume::end_previous(&ledger).await?;
        if !settings.glimpse_resume {
            resume::stop_unfinished(&ledger).await?;
        }
        let jobs = Self(Arc::new(JobService {
            ledger,
            pipeline,
            models,
            stores,
            settings,
            default_bucket,
            allowed_buckets,
            thumbnail_prefix,
            exclude,
            placing,
            waiting,
            disk,
            drop_listener,
            drain,
            tasks,
            clock: Clock::start(),
            running_jobs: Mutex::new(HashMap::new()),
            reserved: Mutex::new(HashSet::new()),
            lane: LaneGate::default(),
            sweep: tokio::sync::Mutex::default(),
            wake: Notify::new(),
        }));
        jobs.0.reload_generations().await?;
        jobs.0.resume_drops().await?;
        Ok(jobs)
    }

    /// Starts jobs while there are free slots, removes records of permanently removed images, and keeps generations up to
    /// date, until the service is asked to stop. No job starts before this is polled.
    pub fn scheduler(&self) -> impl Future<Output = ()> + Send + use<> {
        let jobs = self.0.clone();
        async move {
            tokio::join!(jobs.clone().schedule(), jobs.keep_removed(), jobs.keep_generations());
        }
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

impl JobService {
    pub(crate) async fn find_job(&self, id: &str) -> Result<JobRecord, JobsError> {
        let unknown = || JobsError::Unknown(id.to_owned());
        let id: JobId = id.parse().map_err(|_| unknown())?;
        self.ledger.job(id).await?.ok_or_else(unknown)
    }
}
