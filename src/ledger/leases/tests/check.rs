//! The conditions that must always hold, and the end of a job.

use std::collections::HashSet;

use crate::domain::JobCounts;
use crate::ledger::leases::deaths::{self, MAX_DEATHS_ALONE};
use crate::ledger::leases::tests::*;

impl World {
    pub(super) async fn left(&self) -> HashSet<i64> {
        let all = self.ledger.read(|db| {
            db.prepare("SELECT id FROM items")?
                .query_map((), |row| row.get(0))?
                .collect::<rusqlite::Result<HashSet<_>>>()
        });
        all.await.unwrap()
    }

    /// Checks the conditions that must always hold.
    pub(crate) async fn check(&mut self) {
        self.counts = self.ledger.job(self.job).await.unwrap().unwrap().counts;
        let left = self.left().await.len() as u64;
        assert_eq!(processed(self.counts) + left, u64::from(self.planned), "an item is lost or counted twice");
        assert_eq!(self.counts.left(), left);
        let (suspects_not_alone, empty_batches): (i64, i64) = self
            .ledger
            .read(|db| {
                let not_alone = "SELECT count(*) FROM batches s WHERE s.state = 'leased' AND s.deaths > 0 AND EXISTS
                    (SELECT 1 FROM batches o WHERE o.state = 'leased' AND o.worker = s.worker AND o.id <> s.id)";
                let empty_batches =
                    "SELECT count(*) FROM batches WHERE NOT EXISTS (SELECT 1 FROM items WHERE batch = batches.id)";
                Ok((db.query_row(not_alone, (), |row| row.get(0))?, db.query_row(empty_batches, (), |row| row.get(0))?))
            })
            .await
            .unwrap();
        assert_eq!(
            (suspects_not_alone, empty_batches),
            (0, 0),
            "a suspect batch is not the only one of its worker, or a batch has no items"
        );
        for (batch, attempt, worker, until) in self.leases().await {
            let (holder, ends) = self.granted[&(batch, attempt)];
            assert_eq!(
                (worker.as_str(), until),
                (WORKERS[holder], ends),
                "a request renewed a lease that it must not renew, or not one that it must"
            );
            assert!(until.is_none_or(|until| until > self.now), "an expired lease is still held");
        }
    }

    async fn leases(&self) -> Vec<(i64, u32, String, Option<i64>)> {
        let all = self.ledger.read(|db| {
            db.prepare("SELECT id, attempt, worker, until FROM batches WHERE state = 'leased'")?
                .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        all.await.unwrap()
    }

    /// Lets two workers finish the job without further failures, and checks that every image is accounted for.
    pub(crate) async fn finish(&mut self) {
        fixture::complete(&self.ledger, self.job, planning(1), true).await;
        self.ledger.write(deaths::end_local_leases).await.unwrap();
        self.now += 2 * LEASE;
        self.expire().await;
        // These deaths can make an image fail.
        self.check().await;
        self.workers = Default::default();
        for round in 0.. {
            assert!(round < 20 * self.planned + 20, "the job does not end");
            let worker = (round % 2) as usize;
            match self.lease(worker).await {
                Leased::Batch(batch) => {
                    let outcomes = batch.tasks.iter().map(|task| outcome(task, false)).collect();
                    self.report(worker, Report { batch: batch.id, attempt: batch.attempt, outcomes }).await;
                    self.check().await;
                }
                Leased::NothingYet => {}
                Leased::NothingLeft => break,
            }
        }
        self.check().await;
        let job = self.job;
        assert!(self.ledger.read(move |db| is_complete(db, job)).await.unwrap() && self.counts.left() == 0);
        let known = fixture::all_objects(&self.ledger).await;
        let failed = self.ledger.read(move |db| failures::page(db, job, 0, 10_000)).await.unwrap().failures;
        let mut all: Vec<String> = known.iter().map(|known| known.uri.to_string()).collect();
        all.extend(failed.iter().map(|failure| failure.uri.to_string()));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), self.planned as usize, "each image is indexed or has failed, once");
        assert_eq!((known.len() as u64, failed.len() as u64), (self.counts.done, self.counts.failed));
        for failure in failed.iter().filter(|failure| failure.class == FailureClass::Crashed) {
            let alone = self.alone.get(failure.uri.as_str()).copied().unwrap_or_default();
            assert!(alone >= MAX_DEATHS_ALONE, "{} crashed after being alone {alone} times", failure.uri);
        }
    }
}

pub(super) fn processed(counts: JobCounts) -> u64 {
    counts.done + counts.failed
}
