//! The pool: it leases batches when the pipeline needs them, reports outcomes, and renews its leases meanwhile.

pub mod broker;
mod held_leases;
pub(crate) mod local;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::jobs::pool::broker::{LeaseBroker, LeaseError, LeaseStatus, Offer};
use crate::jobs::pool::held_leases::{Holdings, finished};
use crate::pipeline::{Pipeline, Run, RunError, Task, TaskOutcome, Until, WriteLease};
use crate::resilience::spawn_owned;

/// The worker name of the pool in this process.
pub(crate) const LOCAL: &str = "local";

/// Maximum outcomes that wait for their report.
const MAX_QUEUED_OUTCOMES: usize = 256;

/// Leases batches of one job and processes them.
#[derive(Clone)]
pub struct Pool {
    pipeline: Pipeline,
    broker: Arc<dyn LeaseBroker>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("pipeline", &self.pipeline).finish_non_exhaustive()
    }
}

/// How a pool's work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No work is left for the pool, or it was stopped.
    Over,
    /// A lease of the pool expired and went to others, because the pool was frozen or disconnected. Its items in flight
    /// are given up.
    Lost,
}

/// Why a pool could not continue.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The broker failed.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The pipeline failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The shared state of the tasks of one run.
struct Shared {
    broker: Arc<dyn LeaseBroker>,
    holdings: Holdings,
    /// Permits writing held items, for as long as the leases last.
    write_lease: WriteLease,
    /// Cancelled to take no new work.
    stop: CancellationToken,
    /// Cancelled to give up the items in flight.
    lost: CancellationToken,
    failure: Mutex<Option<LeaseError>>,
}

impl Pool {
    /// Makes a pool that runs the pipeline for a broker.
    pub fn new(pipeline: Pipeline, broker: Arc<dyn LeaseBroker>) -> Self {
        Self { pipeline, broker }
    }

    /// Works until no work is left or until `stop`, and then finishes and reports the items in flight. Does not give
    /// back items that the pool still holds afterwards.
    ///
    /// # Errors
    /// [`PoolError`]
    pub async fn work(&self, run: Run, stop: &CancellationToken) -> Result<Ended, PoolError> {
        let (outcomes, reports) = mpsc::channel(MAX_QUEUED_OUTCOMES);
        let shared = Arc::new(Shared {
            broker: self.broker.clone(),
            holdings: Holdings::default(),
            write_lease: lease_duration(&*self.broker)
                .map_or_else(WriteLease::default, |duration| WriteLease::until(Until::after(duration))),
            // A child token, since the pipeline cancels it if a dependency fails. The error then ends the listing and
            // the job.
            stop: stop.child_token(),
            lost: CancellationToken::new(),
            failure: Mutex::new(None),
        });
        let run = Run { write_lease: shared.write_lease.clone(), ..run };
        let max_held = self.pipeline.lanes().images_in_flight();
        let pipeline = self.pipeline.run(run, batches(shared.clone(), max_held), outcomes, shared.stop.clone());
        let (worked, ()) = tokio::select! {
            ended = async { tokio::join!(pipeline, shared.report(reports)) } => ended,
            () = shared.renew() => (Ok(()), ()),
            () = shared.lost.cancelled() => return Ok(Ended::Lost),
        };
        // An error of the broker is the cause and is more useful than the pipeline's error that follows from it.
        if let Some(failure) = shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure.into());
        }
        Ok(worked.map(|()| Ended::Over)?)
    }
}

/// Returns how long a lease lasts without renewal: three renewal intervals.
fn lease_duration(broker: &dyn LeaseBroker) -> Option<Duration> {
    broker.renew_every().map(|interval| interval * 3)
}

/// Returns a stream that leases a batch whenever the pipeline takes one. A pipeline that is full may not poll this
/// stream for a long time; a batch that is granted meanwhile is recorded as held and is renewed. While `max_held` images
/// are held, no more are leased: they are left to other pools.
fn batches(shared: Arc<Shared>, max_held: usize) -> impl Stream<Item = Vec<Task>> + Send {
    stream::unfold(shared, move |shared| async move {
        shared.holdings.wait_below(max_held).await;
        let state = shared.clone();
        let offer = spawn_owned(async move {
            let offer = state.broker.lease(state.holdings.leases()).await;
            if let Ok(Offer::Batch(batch)) = &offer {
                state.holdings.add(batch);
            }
            offer
        });
        match offer.await {
            Ok(Offer::Batch(batch)) => Some((batch.tasks, shared)),
            Ok(Offer::Over) => None,
            Err(error) => {
                shared.fail(error);
                None
            }
        }
    })
}

impl Shared {
    /// Reports outcomes as they arrive, all waiting outcomes in one report.
    async fn report(&self, mut outcomes: mpsc::Receiver<TaskOutcome>) {
        let mut waiting = Vec::with_capacity(MAX_QUEUED_OUTCOMES);
        while outcomes.recv_many(&mut waiting, MAX_QUEUED_OUTCOMES).await > 0 {
            let outcomes = std::mem::take(&mut waiting);
            let tickets = finished(&outcomes);
            self.holdings.tell(&tickets);
            let reports = self.holdings.reports(outcomes);
            // Measured from before sending, so that it ends before the service's lease. An empty report renews nothing.
            let until = lease_duration(&*self.broker).filter(|_| !reports.is_empty()).map(Until::after);
            match self.broker.report(reports, self.holdings.leases()).await {
                Ok(status) => {
                    self.holdings.remove(&tickets);
                    self.apply_status(&status);
                    self.renew_write_lease(until);
                }
                Err(error) => self.fail(error),
            }
        }
    }

    /// Renews the leases at each interval. Ends only with an error after which the pool cannot continue.
    async fn renew(&self) {
        let Some(interval) = self.broker.renew_every() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(interval).await;
            // Measured from before sending, so that it ends before the service's lease.
            let until = lease_duration(&*self.broker).map(Until::after);
            // Sent even if nothing is held, since the reply tells the pool whether to stop.
            match self.broker.renew(self.holdings.leases()).await {
                Ok(status) => {
                    self.apply_status(&status);
                    self.renew_write_lease(until);
                }
                Err(error) => {
                    self.fail(error);
                    return;
                }
            }
        }
    }

    /// Permits writing held items until the given time, since the service has renewed their leases.
    fn renew_write_lease(&self, until: Option<Until>) {
        if let Some(until) = until.filter(|_| !self.lost.is_cancelled()) {
            self.write_lease.renew(until);
        }
    }

    fn apply_status(&self, status: &LeaseStatus) {
        if status.stop {
            self.stop.cancel();
        }
        if self.holdings.has_any(&status.lost) || self.holdings.has_unreported(&status.gone) {
            tracing::warn!(
                lost = ?status.lost, gone = ?status.gone,
                "leases expired and went to other workers; the items in flight are given up"
            );
            self.lost.cancel();
        }
    }

    /// Keeps the first error and takes no new work.
    fn fail(&self, error: LeaseError) {
        tracing::debug!(%error, "the pool cannot continue");
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.cancel();
    }
}
