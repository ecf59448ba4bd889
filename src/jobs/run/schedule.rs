//! The scheduler: it starts waiting jobs while there are free slots, but never two jobs on one collection. One rebuild runs
//! beside them.

use std::sync::Arc;

use crate::domain::{Executor, JobId, JobRecord};
use crate::jobs::{JobService, LEDGER_RETRY_DELAY};
use crate::ledger::{LedgerError, jobs, pauses};
use crate::lock::lock;
use crate::resilience::Waiting;

/// The name of the dependency in the status of a job that waits for other work of the service.
pub(crate) const OTHER_JOBS: &str = "jobs";

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
        busy.extend(self.ledger.read(pauses::holding).await?.into_iter().map(|(_, collection)| collection));
        let (mut running_executors, mut is_rebuilding) = (Vec::new(), false);
        for id in &running {
            if let Some(job) = self.ledger.job(*id).await? {
                busy.push(job.spec.collection);
                // A rebuild runs beside the other jobs, so that the collection goes on meanwhile.
                match job.spec.rebuild {
                    Some(_) => is_rebuilding = true,
                    None => running_executors.push(job.spec.executor),
                }
            }
        }
        // Counted per executor: a job that waits for its remote workers does not block local jobs.
        let full = |executor: &Executor| {
            running_executors.iter().filter(|running| *running == executor).count()
                >= self.settings.glimpse_jobs_at_once
        };
        let full: Vec<_> = Executor::ALL.into_iter().filter(full).collect();
        let next = self.ledger.read(move |db| match jobs::next(db, &running, &busy, &full)? {
            None if !is_rebuilding => jobs::next_rebuild(db, &busy),
            next => Ok(next),
        });
        let Some(job) = next.await? else { return Ok(false) };
        // Started under the lock: a later reservation of the collection finds the job, and an earlier one is found
        // here.
        let reserved = lock(&self.reserved);
        if reserved.contains(&job.spec.collection) {
            return Ok(false);
        }
        self.spawn_job(job);
        Ok(true)
    }

    /// Returns what keeps a job from being started by [`Self::schedule`].
    pub(crate) async fn queued_behind(&self, job: &JobRecord) -> Result<Option<Waiting>, LedgerError> {
        let (collection, executor) = (&job.spec.collection, job.spec.executor);
        let mut running = self.running().await?;
        // An ended job leaves the running ones in a moment, and this job may have started meanwhile.
        running.retain(|other| other.id != job.id && !other.state.is_final());
        let mut paused = self.ledger.read(pauses::holding).await?;
        paused.retain(|(_, held)| held == collection);
        let is_rebuild = |other: &JobRecord| other.spec.rebuild.is_some();
        let slots = self.settings.glimpse_jobs_at_once;
        let message = if let Some((id, _)) = paused.first() {
            format!(
                "the job {id} is paused and keeps its collection; resume it (`glimpse jobs resume {id}`) or stop it"
            )
        } else if let Some(other) = running.iter().find(|other| other.spec.collection == *collection) {
            format!("the job {} is not finished; a collection has one job at a time", other.id)
        } else if lock(&self.reserved).contains(collection) {
            format!("the collection `{collection}` is being verified or removed")
        } else if let Some(other) = running.iter().find(|other| is_rebuild(job) && is_rebuild(other)) {
            format!("the rebuild {} is not finished; one rebuild runs at a time", other.id)
        } else if !is_rebuild(job)
            && running.iter().filter(|other| !is_rebuild(other) && other.spec.executor == executor).count() >= slots
        {
            let executor = executor.as_str();
            format!("{slots} other jobs with the executor `{executor}` run; GLIMPSE_JOBS_AT_ONCE allows no more")
        } else {
            return Ok(None);
        };
        let since = job.submitted_at.into();
        Ok(Some(Waiting { dependency: OTHER_JOBS.to_owned(), since, next_try: None, message, full: false }))
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
