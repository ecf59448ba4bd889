//! A model of a job and its workers, which is compared with the ledger.

use std::collections::HashMap;

use proptest::prelude::*;

use crate::domain::{Executor, Indexed, ItemFailure, ItemOutcome, JobCounts, StoreSet, TaskOutcome};
use crate::ledger::Ledger;
use crate::ledger::fixture::collection;
use crate::ledger::leases::deaths;
use crate::ledger::leases::tests::check::processed;
use crate::ledger::leases::tests::*;
use crate::ledger::planning::Page;

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
    pub(super) planned: u32,
    pub(crate) workers: [Worker; 3],
    /// Items that the ledger has counted, and whether each was counted as failed.
    pub(super) counted: HashMap<i64, bool>,
    pub(super) uris: HashMap<i64, String>,
    pub(crate) counts: JobCounts,
    /// How many times each image was leased as the only image of its worker.
    pub(super) alone: HashMap<String, u32>,
    /// Each granted lease, by batch and attempt: its worker, and its end if it has one.
    pub(super) granted: HashMap<(i64, u32), (usize, Option<i64>)>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job = fixture::job(Executor::Workers);
        fixture::begin(&ledger, &job).await;
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

    /// Returns which leases a request of a remote worker renews. Worker 1 names the leases that it holds; the other
    /// does not.
    fn renewal(&mut self, worker: usize) -> LeaseRenewal {
        let lease = |batch: &Batch| Held { batch: batch.id, attempt: batch.attempt };
        let held: Option<Vec<Held>> = (worker == 1).then(|| self.workers[worker].believes.iter().map(lease).collect());
        let until = self.now + LEASE;
        for (&(batch, attempt), (holder, ends)) in &mut self.granted {
            let is_named = held.as_ref().is_none_or(|held| held.contains(&Held { batch, attempt }));
            if *holder == worker && is_named && ends.is_some() {
                *ends = Some(until);
            }
        }
        LeaseRenewal { held, until }
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
                self.expire().await;
            }
            Step::GiveBack(worker) => {
                fixture::give_back(&self.ledger, self.job, WORKERS[worker]).await;
                self.workers[worker].believes.clear();
            }
            Step::Die(worker) => {
                self.end_leases_of_dead(worker).await;
                self.workers[worker] = Worker::default();
            }
            Step::Freeze(worker) => self.end_leases_of_dead(worker).await,
            Step::Restart => {
                let (job, until) = (self.job, self.now + LEASE);
                let restart = move |tx: &Transaction<'_>| {
                    deaths::end_local_leases(tx)?;
                    renew_all(tx, job, until)
                };
                self.ledger.write(restart).await.unwrap();
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
        assert_eq!(fixture::plan(&self.ledger, self.job, page, planning(lease_size)).await.over_limit, 0);
    }

    pub(crate) async fn end_leases_of_dead(&self, worker: usize) {
        let job = self.job;
        self.ledger.write(move |tx| deaths::end_leases_of_dead(tx, job, WORKERS[worker])).await.unwrap();
    }

    /// Ends the expired leases. Returns their workers.
    pub(crate) async fn expire(&self) -> Vec<String> {
        let (job, now) = (self.job, self.now);
        self.ledger.write(move |tx| deaths::expire(tx, job, now)).await.unwrap().workers
    }

    pub(crate) async fn holds(&self, worker: usize, lease: Held) -> bool {
        let job = self.job;
        self.ledger.read(move |db| holds(db, job, WORKERS[worker], lease)).await.unwrap()
    }

    /// Extends leases as a heartbeat of the worker does.
    pub(crate) async fn renew_held(&self, worker: usize, held: Vec<Held>, until: i64) -> LostLeases {
        let (job, renewal) = (self.job, LeaseRenewal { held: Some(held), until });
        self.ledger.write(move |tx| renew(tx, job, WORKERS[worker], &renewal)).await.unwrap()
    }

    /// Leases a batch. The last worker is the local one, whose leases do not expire.
    pub(crate) async fn lease(&mut self, worker: usize) -> Leased {
        let until = (worker < 2).then_some(self.now + LEASE);
        let leased = if worker < 2 {
            let (job, renewal) = (self.job, self.renewal(worker));
            let lease = move |tx: &Transaction<'_>| lease_and_renew(tx, job, WORKERS[worker], None, &renewal);
            self.ledger.write(lease).await.unwrap()
        } else {
            fixture::lease(&self.ledger, self.job, WORKERS[worker], None).await
        };
        if let Leased::Batch(batch) = &leased {
            self.granted.insert((batch.id, batch.attempt), (worker, until));
            assert!(!batch.tasks.is_empty(), "an empty batch was leased");
            for task in &batch.tasks {
                assert!(!self.counted.contains_key(&task.ticket), "an item that is done was leased again");
                self.uris.insert(task.ticket, task.image.uri.to_string());
            }
            let held = fixture::held(&self.ledger, self.job).await;
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
        let renewed = self.renew_held(worker, held, self.now + LEASE).await;
        self.workers[worker].believes.retain(|batch| !renewed.lost.contains(&batch.id));
    }

    pub(crate) async fn report(&mut self, worker: usize, report: Report) {
        let fails = report.outcomes.iter().any(|outcome| matches!(outcome.result, ItemOutcome::Failed(_)));
        let tickets: Vec<i64> = report.outcomes.iter().map(|outcome| outcome.ticket).collect();
        let left_before = self.left().await;
        self.workers[worker].last = Some(report.clone());
        let (job, name, reports) = (self.job, WORKERS[worker], vec![report]);
        let renewal = (worker < 2).then(|| self.renewal(worker));
        let report =
            move |tx: &Transaction<'_>| report::report(tx, job, &collection(), "s", name, reports, renewal.as_ref());
        let reported = self.ledger.write(report).await.unwrap();
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
}

pub(crate) fn outcome(task: &Task, fails: bool) -> TaskOutcome {
    let result = if fails {
        let uri = task.image.uri.clone();
        ItemOutcome::Failed(ItemFailure { uri, class: FailureClass::Corrupt, message: "broken".into(), attempts: 1 })
    } else {
        let (etag, size_bytes) = (task.image.etag.clone(), task.image.size_bytes);
        ItemOutcome::Indexed(Indexed { etag, size_bytes, stores: StoreSet::parse("embedded"), copied: false })
    };
    TaskOutcome { ticket: task.ticket, result }
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
