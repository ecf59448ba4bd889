//! The broker for the pool in this process: it leases from this process's own ledger.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::disk::DiskWatch;
use crate::domain::JobRecord;
use crate::jobs::pool::LOCAL;
use crate::jobs::pool::broker::{LeaseBroker, LeaseError, LeaseStatus, Offer};
use crate::jobs::run::limit;
use crate::jobs::run::progress::RunningJob;
use crate::jobs::service::tally;
use crate::ledger::leases::report::report;
use crate::ledger::leases::{self, Leased};
use crate::ledger::{Held, Ledger, Report, logs};

/// Hands out batches of one job by function calls.
pub(crate) struct LocalBroker {
    pub(crate) ledger: Ledger,
    pub(crate) job: JobRecord,
    /// The name of the job's space.
    pub(crate) space: String,
    pub(crate) running: Arc<RunningJob>,
    /// Notified when there may be more work to lease.
    pub(crate) work_changed: Arc<Notify>,
    /// No work is leased while there is not enough space.
    pub(crate) disk: DiskWatch,
}

#[async_trait]
impl LeaseBroker for LocalBroker {
    async fn lease(&self, _: Vec<Held>) -> Result<Offer, LeaseError> {
        let job = self.job.id;
        loop {
            self.disk.wait_for_space().await;
            // Subscribed before asking, so that a page that is planned in between is not missed.
            let changed = self.work_changed.notified();
            match self.ledger.write(move |tx| leases::lease(tx, job, LOCAL, None)).await? {
                Leased::Batch(batch) => return Ok(Offer::Batch(batch)),
                Leased::NothingYet => changed.await,
                Leased::NothingLeft => return Ok(Offer::NoMoreWork),
            }
        }
    }

    async fn renew(&self, _: Vec<Held>) -> Result<LeaseStatus, LeaseError> {
        Ok(LeaseStatus::default())
    }

    async fn report(&self, reports: Vec<Report>, _: Vec<Held>) -> Result<LeaseStatus, LeaseError> {
        let (job, collection, space) = (self.job.id, self.job.spec.collection.clone(), self.space.clone());
        let reported = self.ledger.write(move |tx| report(tx, job, &collection, &space, LOCAL, reports, None)).await?;
        tally::reported(&reported);
        self.running.count(&reported.counts);
        // A suspect can be leased when its worker has done the other items.
        self.work_changed.notify_waiters();
        limit::check_failures(&self.ledger, &self.job, &reported.counts, false).await?;
        Ok(LeaseStatus { lost: reported.lost, ..LeaseStatus::default() })
    }

    async fn log(&self, lines: Vec<String>) -> Result<(), LeaseError> {
        let job = self.job.id;
        Ok(self.ledger.write(move |tx| logs::add(tx, job, &lines)).await?)
    }

    async fn give_back(&self) -> Result<(), LeaseError> {
        let job = self.job.id;
        self.ledger.write(move |tx| leases::give_back(tx, job, LOCAL)).await?;
        Ok(())
    }

    fn renew_every(&self) -> Option<Duration> {
        None
    }
}
