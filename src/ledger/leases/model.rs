//! A model of a job and its workers, which is compared with the ledger. It checks the conditions that must always hold.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use crate::domain::{Executor, ItemFailure, JobCounts};
use crate::ledger::fixture;
use crate::ledger::fixture::{collection, planning};
use crate::ledger::leases::tests::*;
use crate::ledger::{MAX_DEATHS_ALONE, Page, Report};
use crate::pipeline::{Indexed, ItemOutcome, TaskOutcome};

pub(crate) const WORKERS: [&str; 3] = ["a", "b", "c"];
/// Duration of a lease in this test.
pub(crate) const LEASE: i64 = 30;

/// An event of a worker or of the service.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Plans a number of images, with a number of images for each batch.
    Plan(u32, usize),
    Lease(usize),
    Renew(usize),
    /// Reports some items of a lease that the worker holds, or believes to hold, as done or failed.
    Report(usize, usize, u8, bool),
    /// Sends the last report again, as a worker does that did not receive the answer.
    Again(usize),
    /// Lets time pass.
    Pass(i64),
    GiveBack(usize),
    Die(usize),
    /// The service considers the worker dead, but the worker continues with the leases that it believes to hold.
    Freeze(usize),
    Restart,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let worker = 0..WORKERS.len();
    prop_oneof![
        1 => (1..12_u32, 1..6_usize).prop_map(|(images, lease_size)| Step::Plan(images, lease_size)),
        6 => worker.clone().prop_map(Step::Lease),
        2 => worker.clone().prop_map(Step::Renew),
        6 => (worker.clone(), 0..4_usize, any::<u8>(), any::<bool>())
            .prop_map(|(worker, lease, items, fails)| Step::Report(worker, lease, items, fails)),
        1 => worker.clone().prop_map(Step::Again),
        2 => (1..2 * LEASE).prop_map(Step::Pass),
        1 => worker.clone().prop_map(Step::GiveBack),
        2 => worker.clone().prop_map(Step::Die),
        1 => worker.prop_map(Step::Freeze),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
pub(crate) struct Worker {
    believes: Vec<Batch>,
    last: Option<Report>,
}

pub(crate) struct World {
    _folder: tempfile::TempDir,
    pub(crate) ledger: Ledger,
    pub(crate) job: JobId,
    pub(crate) now: i64,
    planned: u32,
    pub(crate) workers: [Worker; 3],
    /// Items that the ledger has counted, and whether each was counted as failed.
    counted: HashMap<i64, bool>,
    uris: HashMap<i64, String>,
    pub(crate) counts: JobCounts,
    /// How many times each image was leased as the only image of its worker.
    alone: HashMap<String, u32>,
    /// Each granted lease, by batch and attempt: its worker, and its end if it has one.
    granted: HashMap<(i64, u32), (usize, Option<i64>)>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job = fixture::job(Executor::Workers);
        assert!(ledger.enqueue(&job, 1).await.unwrap());
        assert!(ledger.begin(job.id).await.unwrap());
        Self {
            _folder: folder,
            ledger,
            job: job.id,
            now: 1_000,
            planned: 0,
            workers: Default::default(),
            counted: HashMap::new(),
            uris: HashMap::new(),
            counts: JobCounts::default(),
            alone: HashMap::new(),
            granted: HashMap::new(),
        }
    }

    /// Returns which leases a request of a remote worker extends. Worker 1 names the leases that it holds; the other
    /// does not.
    fn prolong(&mut self, worker: usize) -> LeaseExtension {
        let lease = |batch: &Batch| Held { batch: batch.id, attempt: batch.attempt };
        let held: Option<Vec<Held>> = (worker == 1).then(|| self.workers[worker].believes.iter().map(lease).collect());
        let until = self.now + LEASE;
        for (&(batch, attempt), (holder, ends)) in &mut self.granted {
            let is_named = held.as_ref().is_none_or(|held| held.contains(&Held { batch, attempt }));
            if *holder == worker && is_named && ends.is_some() {
                *ends = Some(until);
            }
        }
        LeaseExtension { held, until }
    }

    pub(crate) async fn apply(&mut self, step: Step) {
        match step {
            Step::Plan(images, lease_size) => self.plan(images, lease_size).await,
            Step::Lease(worker) => drop(self.lease(worker).await),
            Step::Renew(worker) => self.renew(worker).await,
            Step::Report(worker, lease, items, fails) => {
                let believes = &self.workers[worker].believes;
                if believes.is_empty() {
                    return;
                }
                let batch = &believes[lease % believes.len()];
                let selected = batch.tasks.iter().enumerate().filter(|(at, _)| items >> (at % 8) & 1 == 1);
                let outcomes = selected.map(|(_, task)| outcome(task, fails)).collect();
                let report = Report { batch: batch.id, attempt: batch.attempt, outcomes };
                self.report(worker, report).await;
            }
            Step::Again(worker) => {
                if let Some(report) = self.workers[worker].last.clone() {
                    self.report(worker, report).await;
                }
            }
            Step::Pass(time) => {
                self.now += time;
                self.ledger.expire(self.job, self.now).await.unwrap();
            }
            Step::GiveBack(worker) => {
                self.ledger.give_back(self.job, WORKERS[worker]).await.unwrap();
                self.workers[worker].believes.clear();
            }
            Step::Die(worker) => {
                self.ledger.end_leases_of_dead(self.job, WORKERS[worker]).await.unwrap();
                self.workers[worker] = Worker::default();
            }
            Step::Freeze(worker) => {
                self.ledger.end_leases_of_dead(self.job, WORKERS[worker]).await.unwrap();
            }
            Step::Restart => {
                self.ledger.end_local_leases().await.unwrap();
                self.ledger.prolong(self.job, self.now + LEASE).await.unwrap();
                let until = self.now + LEASE;
                self.granted.values_mut().for_each(|(_, ends)| *ends = ends.map(|_| until));
            }
        }
    }

    pub(crate) async fn plan(&mut self, images: u32, lease_size: usize) {
        let image = |number: u32| ImageRef {
            uri: ImageUri::new("b", &format!("{number:04}.jpg")),
            etag: Some("e".into()),
            size_bytes: 1,
            modified: None,
        };
        let images: Vec<ImageRef> = (self.planned..self.planned + images).map(image).collect();
        self.planned += u32::try_from(images.len()).unwrap();
        let page = Page { listed: images.len() as u64, images, ..Page::default() };
        assert!(self.ledger.plan(self.job, page, planning(lease_size)).await.unwrap());
    }

    /// Leases a batch. The last worker is the local one, whose leases do not expire.
    pub(crate) async fn lease(&mut self, worker: usize) -> Leased {
        let until = (worker < 2).then_some(self.now + LEASE);
        let leased = if worker < 2 {
            let prolong = self.prolong(worker);
            self.ledger.lease_and_prolong(self.job, WORKERS[worker], None, prolong).await.unwrap()
        } else {
            self.ledger.lease(self.job, WORKERS[worker], None).await.unwrap()
        };
        if let Leased::Batch(batch) = &leased {
            self.granted.insert((batch.id, batch.attempt), (worker, until));
            assert!(!batch.tasks.is_empty(), "an empty batch was leased");
            for task in &batch.tasks {
                assert!(!self.counted.contains_key(&task.ticket), "an item that is done was leased again");
                self.uris.insert(task.ticket, task.image.uri.to_string());
            }
            let held = self.ledger.held(self.job).await.unwrap();
            if let [task] = &batch.tasks[..]
                && held.contains(&(WORKERS[worker].to_owned(), 1))
            {
                *self.alone.entry(task.image.uri.to_string()).or_default() += 1;
            }
            self.workers[worker].believes.push(batch.clone());
        }
        leased
    }

    pub(crate) async fn renew(&mut self, worker: usize) {
        let lease = |batch: &Batch| Held { batch: batch.id, attempt: batch.attempt };
        let held: Vec<Held> = self.workers[worker].believes.iter().map(lease).collect();
        for Held { batch, attempt } in &held {
            if let Some((holder, ends)) = self.granted.get_mut(&(*batch, *attempt))
                && *holder == worker
            {
                *ends = Some(self.now + LEASE);
            }
        }
        let renewed = self.ledger.renew(self.job, WORKERS[worker], held, self.now + LEASE).await.unwrap();
        self.workers[worker].believes.retain(|batch| !renewed.lost.contains(&batch.id));
    }

    pub(crate) async fn report(&mut self, worker: usize, report: Report) {
        let fails = report.outcomes.iter().any(|outcome| matches!(outcome.fate, ItemOutcome::Failed(_)));
        let tickets: Vec<i64> = report.outcomes.iter().map(|outcome| outcome.ticket).collect();
        let left_before = self.left().await;
        self.workers[worker].last = Some(report.clone());
        let (name, reports) = (WORKERS[worker], vec![report]);
        let reported = if worker < 2 {
            let prolong = self.prolong(worker);
            self.ledger.report_and_prolong(self.job, collection(), "s".into(), name, reports, prolong).await.unwrap()
        } else {
            self.ledger.report(self.job, collection(), "s".into(), name, reports).await.unwrap()
        };
        let left = self.left().await;
        for ticket in tickets {
            if left_before.contains(&ticket) && !left.contains(&ticket) {
                assert_eq!(self.counted.insert(ticket, fails), None, "two reports of one item were accepted");
            } else if left.contains(&ticket) {
                assert!(fails && !reported.lost.is_empty(), "an indexed item was not accepted");
            }
        }
        let before = processed(self.counts);
        self.counts = self.ledger.job(self.job).await.unwrap().unwrap().counts;
        assert_eq!(processed(self.counts) - before, (left_before.len() - left.len()) as u64);
    }

    async fn left(&self) -> HashSet<i64> {
        let all = self.ledger.db.call(|db| {
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
            .db
            .call(|db| {
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
                "a request extended a lease that it must not extend, or not one that it must"
            );
            assert!(until.is_none_or(|until| until > self.now), "an expired lease is still held");
        }
    }

    async fn leases(&self) -> Vec<(i64, u32, String, Option<i64>)> {
        let all = self.ledger.db.call(|db| {
            db.prepare("SELECT id, attempt, worker, until FROM batches WHERE state = 'leased'")?
                .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        all.await.unwrap()
    }

    /// Lets two workers finish the job without further failures, and checks that every image is accounted for.
    pub(crate) async fn finish(&mut self) {
        self.ledger.planned(self.job, planning(1), true).await.unwrap();
        self.ledger.end_local_leases().await.unwrap();
        self.now += 2 * LEASE;
        self.ledger.expire(self.job, self.now).await.unwrap();
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
        assert!(self.ledger.is_complete(self.job).await.unwrap() && self.counts.left() == 0);
        let known = self.ledger.known(collection(), None, 10_000).await.unwrap();
        let failed = self.ledger.failures(self.job, 0, 10_000).await.unwrap().failures;
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

fn processed(counts: JobCounts) -> u64 {
    counts.done + counts.failed
}

pub(crate) fn outcome(task: &Task, fails: bool) -> TaskOutcome {
    let fate = if fails {
        let uri = task.image.uri.clone();
        ItemOutcome::Failed(ItemFailure { uri, class: FailureClass::Corrupt, message: "broken".into(), attempts: 1 })
    } else {
        let (etag, size_bytes) = (task.image.etag.clone(), task.image.size_bytes);
        ItemOutcome::Indexed(Indexed { etag, size_bytes, stores: StoreSet::parse("embedded"), copied: false })
    };
    TaskOutcome { ticket: task.ticket, fate }
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
