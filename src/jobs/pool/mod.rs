//! The pool: it leases batches when the pipeline needs them, reports outcomes, and renews its leases meanwhile.

pub mod broker;
mod held_leases;
pub(crate) mod local;
mod renewal;

use std::sync::{Arc, Mutex};

use futures::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::jobs::pool::broker::{LeaseBroker, LeaseError, Offer};
use crate::jobs::pool::held_leases::{HeldLeases, finished};
use crate::jobs::pool::renewal::lease_duration;
use crate::lock::lock;
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
    Finished,
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
    held_leases: HeldLeases,
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
            held_leases: HeldLeases::default(),
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
        if let Some(failure) = lock(&shared.failure).take() {
            return Err(failure.into());
        }
        Ok(worked.map(|()| Ended::Finished)?)
    }
}

/// Returns a stream that leases a batch whenever the pipeline takes one. A pipeline that is full may not poll this
/// stream for a long time; a batch that is granted meanwhile is recorded as held and is renewed. While `max_held` images
/// are held, no more are leased: they are left to other pools.
fn batches(shared: Arc<Shared>, max_held: usize) -> impl Stream<Item = Vec<Task>> + Send {
    stream::unfold(shared, move |shared| async move {
        shared.held_leases.wait_below(max_held).await;
        let state = shared.clone();
        let offer = spawn_owned(async move {
            let offer = state.broker.lease(state.held_leases.leases()).await;
            if let Ok(Offer::Batch(batch)) = &offer {
                state.held_leases.add(batch);
            }
            offer
        });
        match offer.await {
            Ok(Offer::Batch(batch)) => Some((batch.tasks, shared)),
            Ok(Offer::NoMoreWork) => None,
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
            self.held_leases.mark_reporting(&tickets);
            let reports = self.held_leases.reports(outcomes);
            // Measured from before sending, so that it ends before the service's lease. An empty report renews nothing.
            let until = lease_duration(&*self.broker).filter(|_| !reports.is_empty()).map(Until::after);
            match self.broker.report(reports, self.held_leases.leases()).await {
                Ok(status) => {
                    self.held_leases.remove(&tickets);
                    self.apply_status(&status);
                    self.renew_write_lease(until);
                }
                Err(error) => self.fail(error),
            }
        }
    }

    /// Keeps the first error and takes no new work.
    fn fail(&self, error: LeaseError) {
        tracing::debug!(%error, "the pool cannot continue");
        lock(&self.failure).get_or_insert(error);
        self.stop.cancel();
    }
}
