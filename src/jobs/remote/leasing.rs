//! Requests with which a worker leases batches, renews its leases and reports outcomes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::jobs::error::JobsError;
use crate::jobs::pool::broker::LeaseStatus;
use crate::jobs::remote::membership::NOT_RUNNING_RETRY_DELAY;
use crate::jobs::remote::protocol::wire::{HeartbeatRequest, LeaseReply, LeaseRequest, ResultRequest, within_bounds};
use crate::jobs::remote::protocol::worker_name::WorkerName;
use crate::jobs::remote::worker_job::{WorkerJob, millis, record_request};
use crate::jobs::run::progress::RunningJob;
use crate::jobs::service::tally;
use crate::ledger::leases::report::{Reported, report};
use crate::ledger::leases::{self, LeaseRenewal, Leased, LostLeases};
use crate::ledger::{Held, Report};
use crate::resilience::{Waiting, spawn_owned};
use crate::telemetry::metrics::{counter, families};

/// The delay after which a worker asks for work again, after its last request was held without result.
const RETRY_DELAY: Duration = Duration::from_millis(20);
/// Maximum time that a request for work is held while there is none. A third of a lease is a second limit.
const MAX_HOLD: Duration = Duration::from_secs(10);
/// How often a held request checks for work, even without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

impl WorkerJob {
    /// Returns work for a worker. Waits for a while if there is none.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::JobEnded`], [`JobsError::Ledger`]
    pub async fn lease(&self, LeaseRequest { worker, held }: LeaseRequest) -> Result<LeaseReply, JobsError> {
        self.check_not_ended()?;
        let until = Instant::now() + MAX_HOLD.min(self.lease_time() / 3);
        loop {
            let wait = LeaseReply::Wait { wait_ms: millis(NOT_RUNNING_RETRY_DELAY) };
            let stop = if self.must_stop() { Some(LeaseReply::Stop { stop: true }) } else { None };
            // The job may end while a request is held.
            let Some(running) = self.at_work().filter(|running| self.is_current_run(running)) else {
                return Ok(stop.unwrap_or(wait));
            };
            if running.stop.is_cancelled() {
                return Ok(stop.unwrap_or(wait));
            }
            // Subscribed before checking, so that work that arrives in between is not missed.
            let changed = running.work_changed.notified();
            record_request(running, worker.as_str())?;
            if self.jobs.0.disk.problem().is_some() {
                tokio::select! {
                    () = self.jobs.0.disk.wait_for_space() => continue,
                    () = running.stop.cancelled() => continue,
                    () = tokio::time::sleep_until(until) => return Ok(LeaseReply::Wait { wait_ms: millis(RETRY_DELAY) }),
                }
            }
            match self.lease_now(running, &worker, held.as_deref()).await? {
                Leased::Batch(batch) => return Ok(LeaseReply::Batch(batch)),
                // Otherwise items that this worker holds may still be given back.
                Leased::NothingLeft if self.is_complete().await? => {
                    return Ok(LeaseReply::Stop { stop: true });
                }
                Leased::NothingLeft | Leased::NothingYet => {}
            }
            tokio::select! {
                () = async { changed.await; tokio::time::sleep(running.remote_workers.lease_delay(worker.as_str())).await } => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = running.stop.cancelled() => {}
                () = tokio::time::sleep_until(until) => return Ok(LeaseReply::Wait { wait_ms: millis(RETRY_DELAY) }),
            }
        }
    }

    /// Leases a batch in its own task: if the worker disconnects meanwhile, the lease must still be recorded.
    async fn lease_now(
        &self,
        running: &Arc<RunningJob>,
        worker: &WorkerName,
        held: Option<&[Held]>,
    ) -> Result<Leased, JobsError> {
        let (jobs, running, worker, job) = (self.jobs.clone(), running.clone(), worker.clone(), self.job.id);
        let (renewal, unanswered) = self.renewal(Some(&running), worker.as_str(), held);
        let leased = spawn_owned(async move {
            let name = worker.clone();
            // Without a list of the leases that the worker holds, the service cannot know whether a reply was lost.
            let ledger = &jobs.0.ledger;
            let leased =
                ledger.write(move |tx| leases::lease_and_renew(tx, job, name.as_str(), unanswered, &renewal)).await?;
            if let Leased::Batch(batch) = &leased {
                let lease = Held { batch: batch.id, attempt: batch.attempt };
                running.remote_workers.grant(worker.as_str(), lease);
                if unanswered != Some(lease) {
                    counter!(families::LEASES_GRANTED).increment(1);
                }
            }
            Ok(leased)
        });
        leased.await
    }

    /// Returns the leases that a request renews, and the one among them that the worker does not list and may not know.
    fn renewal(
        &self,
        running: Option<&Arc<RunningJob>>,
        worker: &str,
        held: Option<&[Held]>,
    ) -> (LeaseRenewal, Option<Held>) {
        let unanswered = running.zip(held).and_then(|(running, held)| running.remote_workers.unanswered(worker, held));
        let held = held.map(|held| held.iter().copied().chain(unanswered).collect());
        (LeaseRenewal { held, until: self.jobs.0.clock.after(self.lease_time()) }, unanswered)
    }

    /// Records outcomes that a worker reports. A worker that has not joined must hold the batch.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::JobEnded`], [`JobsError::NotRunning`], [`JobsError::Ledger`]
    pub async fn report(&self, batch: i64, request: ResultRequest) -> Result<LeaseStatus, JobsError> {
        let ResultRequest { worker: name, attempt, outcomes, held, timings } = request;
        let worker = name.as_str();
        self.check_not_ended()?;
        let running = self.running.as_ref().ok_or(JobsError::NotRunning)?;
        let space = running.space.get().ok_or(JobsError::NotRunning)?.name();
        let (id, collection, ledger) = (self.job.id, self.job.spec.collection.clone(), &self.jobs.0.ledger);
        let joined = running.remote_workers.record_request(worker, 0);
        if !joined {
            let (name, held) = (name.clone(), Held { batch, attempt });
            if !ledger.read(move |db| leases::holds(db, id, name.as_str(), held)).await? {
                return Err(JobsError::NotJoined(worker.to_owned()));
            }
        }
        let reports = vec![within_bounds(Report { batch, attempt, outcomes })];
        let (renewal, unanswered) = self.renewal(Some(running), worker, held.as_deref());
        let reporter = name.clone();
        let reported = ledger
            .write(move |tx| report(tx, id, &collection, &space, reporter.as_str(), reports, Some(&renewal)))
            .await?;
        tally::reported(&reported);
        let Reported { done, failed, mut lost, renewed, .. } = reported;
        running.remote_workers.record_request(worker, done + failed.len() as u64);
        if let Some(timings) = timings {
            running.remote_workers.add_timings(worker, &timings);
        }
        running.work_changed.notify_waiters();
        let LostLeases { lost: also_lost, gone } = only_listed(renewed, unanswered, held.as_deref());
        lost.extend(also_lost);
        Ok(LeaseStatus { lost, gone, stop: self.must_stop() })
    }

    /// Records a heartbeat: renews the worker's leases and records what the worker waits for.
    ///
    /// # Errors
    /// [`JobsError::NotJoined`], [`JobsError::JobEnded`], [`JobsError::Ledger`]
    pub async fn renew(&self, request: HeartbeatRequest) -> Result<LeaseStatus, JobsError> {
        let HeartbeatRequest { worker: name, held, waiting_on, timings } = request;
        let (id, worker) = (self.job.id, name.as_str());
        self.check_not_ended()?;
        let (renewal, unanswered) = self.renewal(self.running.as_ref(), worker, Some(&held));
        let holder = name.clone();
        let renewed = self.jobs.0.ledger.write(move |tx| leases::renew(tx, id, holder.as_str(), &renewal)).await?;
        let LostLeases { lost, gone } = only_listed(renewed, unanswered, Some(&held));
        if let Some(running) = self.at_work() {
            record_request(running, worker)?;
            running.remote_workers.waits(worker, waiting_on.map(Waiting::from));
            if let Some(timings) = timings {
                running.remote_workers.add_timings(worker, &timings);
            }
        }
        Ok(LeaseStatus { lost, gone, stop: self.must_stop() })
    }
}

/// Removes the unanswered lease from the reply, unless the worker listed it as held.
fn only_listed(renewed: LostLeases, unanswered: Option<Held>, held: Option<&[Held]>) -> LostLeases {
    let Some(Held { batch: unanswered, .. }) = unanswered else { return renewed };
    let is_listed = held.is_some_and(|held| held.iter().any(|held| held.batch == unanswered));
    let keep = |batches: Vec<i64>| batches.into_iter().filter(|batch| is_listed || *batch != unanswered).collect();
    LostLeases { lost: keep(renewed.lost), gone: keep(renewed.gone) }
}
