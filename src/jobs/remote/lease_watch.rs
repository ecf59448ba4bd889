//! The service's side of a job with remote workers. The workers lease and report by themselves; this module ends
//! expired leases and notices the end of the job.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::JobRecord;
use crate::jobs::pool::broker::LeaseError;
use crate::jobs::remote::clock::Clock;
use crate::jobs::run::limit;
use crate::jobs::run::progress::RunningJob;
use crate::jobs::service::tally;
use crate::ledger::{Ledger, leases};

/// How often expired leases are ended.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// After a start of the service every lease lasts at least this long, since its workers may need some time to notice
/// that the service is back.
const MIN_LEASE_AFTER_START: Duration = Duration::from_secs(10);

/// Watches the leases of one job.
pub(crate) struct LeaseWatch {
    pub(crate) ledger: Ledger,
    pub(crate) job: JobRecord,
    pub(crate) running: Arc<RunningJob>,
    pub(crate) clock: Clock,
    /// How long a lease lasts.
    pub(crate) lease: Duration,
    /// Cancelled when the process stops. The workers continue and find the job again after the next start.
    pub(crate) drain: CancellationToken,
}

impl LeaseWatch {
    /// Watches until no work is left; after a stop until the workers have reported or given back all items.
    pub(crate) async fn watch(&self) -> Result<(), LeaseError> {
        let (job, stop) = (self.job.id, &self.running.stop);
        let until = self.clock.after(self.lease.max(MIN_LEASE_AFTER_START));
        self.ledger.write(move |tx| leases::renew_all(tx, job, until)).await?;
        loop {
            // Subscribed before checking, so that a report in between is not missed.
            let reported = self.running.work_changed.notified();
            if let Some(now) = self.ledger.job(job).await? {
                self.running.count(&now.counts);
                limit::check_failures(&self.ledger, &self.job, &now.counts, false).await?;
            }
            let complete = self.ledger.read(move |db| leases::is_complete(db, job)).await?;
            if complete || self.drain.is_cancelled() || self.running.is_moved() {
                return Ok(());
            }
            if stop.is_cancelled() && self.ledger.read(move |db| leases::held(db, job)).await?.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = reported => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
            let now = self.clock.now();
            let expired = self.ledger.write(move |tx| leases::deaths::expire(tx, job, now)).await?;
            for worker in tally::ended(expired, tally::NO_REQUESTS).workers {
                tracing::warn!(job.id = %job, worker, "the worker sent no request; its leases go to other workers");
                let line = format!(
                    "worker {worker} sent no request for {} s; its images go to other workers",
                    self.lease.as_secs()
                );
                self.ledger.log(job, line).await?;
                self.running.work_changed.notify_waiters();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Executor, ImageRef, ImageUri};
    use crate::ledger::leases::{LeaseRenewal, Leased, LostLeases};
    use crate::ledger::planning::Page;
    use crate::ledger::{Held, failures, fixture, logs};
    use crate::pipeline::{PipelineSettings, Stages};

    const LEASE: Duration = Duration::from_secs(30);

    async fn watch_of_four_images(folder: &std::path::Path) -> LeaseWatch {
        let ledger = Ledger::open(folder).unwrap();
        let job = fixture::job(Executor::Workers);
        fixture::begin(&ledger, &job).await;
        let image = |key: u32| {
            let uri = ImageUri::new("b", &format!("{key}.jpg"));
            ImageRef { uri, etag: None, size_bytes: 1, modified: None }
        };
        let page = Page { listed: 4, images: (0..4).map(image).collect(), ..Page::default() };
        fixture::plan(&ledger, job.id, page, fixture::planning(4)).await;
        let stages = Stages::new(PipelineSettings::default().lanes(), None);
        let running = Arc::new(RunningJob::new(stages, CancellationToken::new(), &job.counts));
        LeaseWatch { ledger, job, running, clock: Clock::start(), lease: LEASE, drain: CancellationToken::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_expires_only_if_it_is_not_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let lease_watch = watch_of_four_images(folder.path()).await;
        let (ledger, job, clock) = (&lease_watch.ledger, lease_watch.job.id, lease_watch.clock);
        let begun = clock.now();
        let until = Some(clock.after(LEASE));
        let Leased::Batch(batch) = fixture::lease(ledger, job, "one", until).await else { panic!("nothing to lease") };
        let lines = async || ledger.read(move |db| logs::page(db, job, None)).await.unwrap().lines;
        let renewals = async {
            let mut until = 0;
            for _ in 0..4 {
                tokio::time::sleep(LEASE / 3).await;
                let held = vec![Held { batch: batch.id, attempt: batch.attempt }];
                until = clock.after(LEASE);
                let renewal = LeaseRenewal { held: Some(held), until };
                let renewed = ledger.write(move |tx| leases::renew(tx, job, "one", &renewal)).await.unwrap();
                assert_eq!(renewed, LostLeases::default());
            }
            while !fixture::held(ledger, job).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let ended = clock.now();
            while lines().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (until, ended)
        };
        let (until, ended) = tokio::select! {
            watched = lease_watch.watch() => panic!("there is work left: {watched:?}"),
            times = renewals => times,
        };
        assert!(until - begun >= 70_000, "renewed for longer than a lease: {}", until - begun);
        // Paused time advances while the test waits for SQLite's thread, by more the slower that thread is.
        assert!((0..30_000).contains(&(ended - until)), "{}", ended - until);
        let logs = lines().await;
        assert!(logs.iter().any(|(_, line)| line.contains("worker one sent no request for 30 s")), "{logs:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_stop_the_watch_ends_when_all_items_were_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let lease_watch = watch_of_four_images(folder.path()).await;
        let (ledger, job) = (&lease_watch.ledger, lease_watch.job.id);
        fixture::lease(ledger, job, "one", Some(lease_watch.clock.after(LEASE))).await;
        lease_watch.running.stop.cancel();
        let mut watch = Box::pin(lease_watch.watch());
        let early = tokio::time::timeout(Duration::from_secs(10), &mut watch).await;
        assert!(early.is_err(), "a worker still has work in flight");
        fixture::give_back(ledger, job, "one").await;
        watch.await.unwrap();
        let failed = ledger.read(move |db| failures::page(db, job, 0, 1)).await.unwrap();
        assert!(failed.failures.is_empty());
    }
}
