//! The service's side of a job whose workers are elsewhere: they lease and report by themselves; here their leases run out,
//! and the end is seen.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::local::within;
use crate::domain::JobRecord;
use crate::jobs::clock::Clock;
use crate::jobs::lease::LeaseError;
use crate::jobs::ledger::Ledger;
use crate::jobs::progress::Live;

/// How often it is looked whether a lease has run out.
const LOOK: Duration = Duration::from_millis(500);

/// Watches over the leases of one job.
pub(in crate::jobs) struct Elsewhere {
    pub(in crate::jobs) ledger: Ledger,
    pub(in crate::jobs) job: JobRecord,
    pub(in crate::jobs) live: Arc<Live>,
    pub(in crate::jobs) clock: Clock,
    /// How long a lease lasts.
    pub(in crate::jobs) lease: Duration,
    /// Cancelled when the process ends: the workers go on, and find the job again at the next start.
    pub(in crate::jobs) drain: CancellationToken,
}

impl Elsewhere {
    /// Until nothing is left; after a stop until the workers have given back or reported what they had.
    pub(in crate::jobs) async fn watch(&self) -> Result<(), LeaseError> {
        let (job, stop) = (self.job.id, &self.live.stop);
        self.ledger.prolong(job, self.clock.after(self.lease)).await?;
        loop {
            // Listening begins before looking: a report in between is not missed.
            let reported = self.live.more.notified();
            if let Some(now) = self.ledger.job(job).await? {
                self.live.count(&now.counts);
                within(&self.job, now.counts.failed)?;
            }
            if self.ledger.is_worked_off(job).await? || self.drain.is_cancelled() {
                return Ok(());
            }
            if stop.is_cancelled() && self.ledger.held(job).await?.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = reported => {}
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
            for worker in self.ledger.expire(job, self.clock.now()).await? {
                tracing::warn!(job.id = %job, worker, "was not heard of; its leases go to others");
                let line =
                    format!("worker {worker} was not heard of for {} s; others get what it had", self.lease.as_secs());
                self.ledger.log(job, line).await?;
            }
        }
    }
}
