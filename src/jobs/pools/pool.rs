//! The pool: leases as the chain takes, reports as the chain gives, renews while it works.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::held::{Holdings, finished};
use crate::jobs::lease::{LeaseBroker, LeaseError, LeaseStatus, Offer};
use crate::pipeline::{Pipeline, Run, RunError, Task, TaskOutcome, Until, WriteLease};
use crate::resilience::on_its_own;

/// Outcomes that may wait for their report.
const QUEUE: usize = 256;

/// Leases batches of one job and works them off.
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

/// How a pool's work came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left for it, or it was told to stop.
    Over,
    /// A lease of it was given to others while it was not looking (frozen, cut off): what it had in flight is given up.
    Lost,
}

/// Why a pool could not go on.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Whoever hands out the work.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The chain.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What the parts of one run tell each other.
struct Shared {
    broker: Arc<dyn LeaseBroker>,
    holdings: Holdings,
    /// To write what is held: as long as the leases last.
    leave: WriteLease,
    /// Take nothing new.
    stop: CancellationToken,
    /// Give up what is in flight.
    lost: CancellationToken,
    trouble: Mutex<Option<LeaseError>>,
}

impl Pool {
    /// A pool that runs this chain for that broker.
    pub fn new(pipeline: Pipeline, broker: Arc<dyn LeaseBroker>) -> Self {
        Self { pipeline, broker }
    }

    /// Works until nothing is left, or until `stop`; what is in flight then is finished and reported. What the pool still
    /// holds afterwards it has not given back.
    ///
    /// # Errors
    /// [`PoolError`]
    pub async fn work(&self, run: Run, stop: &CancellationToken) -> Result<Ended, PoolError> {
        let (outcomes, reports) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            broker: self.broker.clone(),
            holdings: Holdings::default(),
            leave: term(&*self.broker).map_or_else(WriteLease::default, |term| WriteLease::until(Until::after(term))),
            // The chain stops itself where a dependency breaks; the listing and the job are told by the error.
            stop: stop.child_token(),
            lost: CancellationToken::new(),
            trouble: Mutex::new(None),
        });
        let run = Run { leave: shared.leave.clone(), ..run };
        let chain = self.pipeline.run(run, batches(shared.clone()), outcomes, shared.stop.clone());
        let (worked, ()) = tokio::select! {
            ended = async { tokio::join!(chain, shared.report(reports)) } => ended,
            () = shared.renew() => (Ok(()), ()),
            () = shared.lost.cancelled() => return Ok(Ended::Lost),
        };
        // Why the ledger or the failures ended it says more than what the chain met on its way out.
        if let Some(trouble) = shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(trouble.into());
        }
        Ok(worked.map(|()| Ended::Over)?)
    }
}

/// How long a lease lasts that is not renewed: three times as long as until it is to be.
fn term(broker: &dyn LeaseBroker) -> Option<Duration> {
    broker.renew_every().map(|pause| pause * 3)
}

/// Leases as the chain takes. A chain that is full does not look here, however long: what was granted meanwhile is held, and
/// renewed, all the same.
fn batches(shared: Arc<Shared>) -> impl Stream<Item = Vec<Task>> + Send {
    stream::unfold(shared, |shared| async move {
        let asking = shared.clone();
        let offer = on_its_own(async move {
            let offer = asking.broker.lease(asking.holdings.leases()).await;
            if let Ok(Offer::Batch(batch)) = &offer {
                asking.holdings.add(batch);
            }
            offer
        });
        match offer.await {
            Ok(Offer::Batch(batch)) => Some((batch.tasks, shared)),
            Ok(Offer::Over) => None,
            Err(error) => {
                shared.broke(error);
                None
            }
        }
    })
}

impl Shared {
    /// Says what became of items as it comes, as much at once as is there.
    async fn report(&self, mut outcomes: mpsc::Receiver<TaskOutcome>) {
        let mut some = Vec::with_capacity(QUEUE);
        while outcomes.recv_many(&mut some, QUEUE).await > 0 {
            let outcomes = std::mem::take(&mut some);
            let tickets = finished(&outcomes);
            self.holdings.tell(&tickets);
            let reports = self.holdings.reports(outcomes);
            // Counted from before it is sent: the service counts from later. What is not sent prolongs nothing.
            let until = term(&*self.broker).filter(|_| !reports.is_empty()).map(Until::after);
            match self.broker.report(reports, self.holdings.leases()).await {
                Ok(standing) => {
                    self.holdings.remove(&tickets);
                    self.heed(&standing);
                    self.prolong(until);
                }
                Err(error) => self.broke(error),
            }
        }
    }

    /// Renews leases again and again; ends only with trouble that leaves nothing to be done.
    async fn renew(&self) {
        let Some(pause) = self.broker.renew_every() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(pause).await;
            // Counted from before it is asked: the service counts from later.
            let until = term(&*self.broker).map(Until::after);
            // Told even where nothing is held: it is how the pool hears that it shall stop.
            match self.broker.renew(self.holdings.leases()).await {
                Ok(standing) => {
                    self.heed(&standing);
                    self.prolong(until);
                }
                Err(error) => {
                    self.broke(error);
                    return;
                }
            }
        }
    }

    /// The service has prolonged the leases that are held: what is under them may be written until then.
    fn prolong(&self, until: Option<Until>) {
        if let Some(until) = until.filter(|_| !self.lost.is_cancelled()) {
            self.leave.prolong(until);
        }
    }

    fn heed(&self, standing: &LeaseStatus) {
        if standing.stop {
            self.stop.cancel();
        }
        if self.holdings.has_any(&standing.lost) || self.holdings.has_untold(&standing.gone) {
            tracing::warn!(lost = ?standing.lost, gone = ?standing.gone, "leases ran out and are others' now; what is in flight is given up");
            self.lost.cancel();
        }
    }

    /// Remembers what broke first and takes nothing new.
    fn broke(&self, error: LeaseError) {
        tracing::debug!(%error, "the pool cannot go on");
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.cancel();
    }
}
