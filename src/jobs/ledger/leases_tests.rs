//! Leases under everything that can happen to them, in every order: held against a model that is told the same.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::domain::{CollectionName, Executor, JobCounts, JobRecord, JobSpec, JobState, Timestamp};
use crate::jobs::ledger::{Page, Planning, Report};
use crate::pipeline::{Fate, Indexed, Outcome};

const WORKERS: [&str; 3] = ["a", "b", "c"];
/// How long a lease lasts here.
const LEASE: i64 = 30;

fn collection() -> CollectionName {
    CollectionName::parse("c").unwrap()
}

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Plan {
        images: u32,
        lease_size: usize,
    },
    Lease {
        worker: usize,
    },
    Renew {
        worker: usize,
    },
    /// Some items of a lease that the worker has, or believes to have.
    Report {
        worker: usize,
        lease: usize,
        items: u8,
        fails: bool,
    },
    /// The last report again, as whoever missed its answer sends it.
    Again {
        worker: usize,
    },
    Pass {
        time: i64,
    },
    GiveBack {
        worker: usize,
    },
    Die {
        worker: usize,
    },
    /// The worker stops for a while and goes on with what it believes to have.
    Forget {
        worker: usize,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let worker = 0..WORKERS.len();
    prop_oneof![
        1 => (1..12_u32, 1..6_usize).prop_map(|(images, lease_size)| Step::Plan { images, lease_size }),
        6 => worker.clone().prop_map(|worker| Step::Lease { worker }),
        2 => worker.clone().prop_map(|worker| Step::Renew { worker }),
        6 => (worker.clone(), 0..4_usize, any::<u8>(), any::<bool>())
            .prop_map(|(worker, lease, items, fails)| Step::Report { worker, lease, items, fails }),
        1 => worker.clone().prop_map(|worker| Step::Again { worker }),
        2 => (1..2 * LEASE).prop_map(|time| Step::Pass { time }),
        1 => worker.clone().prop_map(|worker| Step::GiveBack { worker }),
        2 => worker.clone().prop_map(|worker| Step::Die { worker }),
        1 => worker.prop_map(|worker| Step::Forget { worker }),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct Worker {
    believes: Vec<Batch>,
    last: Option<Report>,
}

struct World {
    _folder: tempfile::TempDir,
    ledger: Ledger,
    job: JobId,
    now: i64,
    planned: u32,
    workers: [Worker; 3],
    /// Items that the ledger has counted, each with what was counted.
    counted: HashMap<i64, bool>,
    uris: HashMap<i64, String>,
    counts: JobCounts,
    /// How often each image was leased as the only thing that its worker had.
    alone: HashMap<String, u32>,
}

fn planning(lease_size: usize) -> Planning {
    Planning {
        collection: collection(),
        space: "s".into(),
        stores: Holders::parse("embedded"),
        lease_size,
        max_items: None,
        metadata: false,
        owns: None,
        dry_run: None,
    }
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job = JobRecord {
            id: JobId::fresh(),
            spec: JobSpec {
                bucket: "b".into(),
                prefix: String::new(),
                collection: collection(),
                max_items: None,
                any_extension: false,
                max_failures: None,
                metadata_key: None,
                sync: false,
                dry_run: false,
                max_delete_percent: 10,
                retry_of: None,
                executor: Executor::Local,
            },
            state: JobState::Pending,
            message: None,
            submitted_at: Timestamp::now(),
            started_at: None,
            finished_at: None,
            counts: JobCounts::default(),
            plan: None,
        };
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
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Plan { images, lease_size } => self.plan(images, lease_size).await,
            Step::Lease { worker } => drop(self.lease(worker).await),
            Step::Renew { worker } => self.renew(worker).await,
            Step::Report { worker, lease, items, fails } => {
                let believes = &self.workers[worker].believes;
                if believes.is_empty() {
                    return;
                }
                let batch = &believes[lease % believes.len()];
                let some = batch.tasks.iter().enumerate().filter(|(at, _)| items >> (at % 8) & 1 == 1);
                let outcomes = some.map(|(_, task)| outcome(task, fails)).collect();
                let report = Report { batch: batch.id, attempt: batch.attempt, outcomes };
                self.report(worker, report).await;
            }
            Step::Again { worker } => {
                if let Some(report) = self.workers[worker].last.clone() {
                    self.report(worker, report).await;
                }
            }
            Step::Pass { time } => {
                self.now += time;
                self.ledger.expire(self.job, self.now).await.unwrap();
            }
            Step::GiveBack { worker } => {
                self.ledger.give_back(self.job, WORKERS[worker]).await.unwrap();
                self.workers[worker].believes.clear();
            }
            Step::Die { worker } => {
                self.ledger.bury(self.job, WORKERS[worker]).await.unwrap();
                self.workers[worker] = Worker::default();
            }
            Step::Forget { worker } => {
                self.ledger.bury(self.job, WORKERS[worker]).await.unwrap();
            }
            Step::Restart => {
                self.ledger.end_local_leases().await.unwrap();
                self.ledger.prolong(self.job, self.now + LEASE).await.unwrap();
            }
        }
    }

    async fn plan(&mut self, images: u32, lease_size: usize) {
        let image = |number: u32| ImageRef {
            uri: ImageUri::new("b", &format!("{number:04}.jpg")),
            etag: Some("e".into()),
            size_bytes: 1,
            modified: None,
        };
        let images: Vec<ImageRef> = (self.planned..self.planned + images).map(image).collect();
        self.planned += u32::try_from(images.len()).unwrap();
        let page = Page { listed: images.len() as u64, images, ..Page::default() };
        let planning = planning(lease_size);
        assert!(self.ledger.plan(self.job, page, planning).await.unwrap());
    }

    /// The last worker is the local one, whose leases do not run out.
    async fn lease(&mut self, worker: usize) -> Leased {
        let until = (worker < 2).then_some(self.now + LEASE);
        let leased = self.ledger.lease(self.job, WORKERS[worker], until).await.unwrap();
        if let Leased::Batch(batch) = &leased {
            assert!(!batch.tasks.is_empty(), "an empty batch was leased");
            for task in &batch.tasks {
                assert!(!self.counted.contains_key(&task.ticket), "what is done was leased again");
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

    async fn renew(&mut self, worker: usize) {
        let of = |batch: &Batch| Held { batch: batch.id, attempt: batch.attempt };
        let held = self.workers[worker].believes.iter().map(of).collect();
        let lost = self.ledger.renew(self.job, WORKERS[worker], held, self.now + LEASE).await.unwrap();
        self.workers[worker].believes.retain(|batch| !lost.contains(&batch.id));
    }

    async fn report(&mut self, worker: usize, report: Report) {
        let fails = report.outcomes.iter().any(|outcome| matches!(outcome.fate, Fate::Failed(_)));
        let tickets: Vec<i64> = report.outcomes.iter().map(|outcome| outcome.ticket).collect();
        let left_before = self.left().await;
        self.workers[worker].last = Some(report.clone());
        let reported =
            self.ledger.report(self.job, collection(), "s".into(), WORKERS[worker], vec![report]).await.unwrap();
        let left = self.left().await;
        for ticket in tickets {
            if left_before.contains(&ticket) && !left.contains(&ticket) {
                assert_eq!(self.counted.insert(ticket, fails), None, "two reports of one item were accepted");
            } else if left.contains(&ticket) {
                assert!(fails && !reported.lost.is_empty(), "what is indexed was not accepted");
            }
        }
        let before = dealt_with(self.counts);
        self.counts = self.ledger.job(self.job).await.unwrap().unwrap().counts;
        assert_eq!(dealt_with(self.counts) - before, (left_before.len() - left.len()) as u64);
    }

    async fn left(&self) -> HashSet<i64> {
        let all = self.ledger.db.call(|db| {
            db.prepare("SELECT id FROM items")?
                .query_map((), |row| row.get(0))?
                .collect::<rusqlite::Result<HashSet<_>>>()
        });
        all.await.unwrap()
    }

    /// What must be so at every moment.
    async fn check(&mut self) {
        self.counts = self.ledger.job(self.job).await.unwrap().unwrap().counts;
        let left = self.left().await.len() as u64;
        assert_eq!(dealt_with(self.counts) + left, u64::from(self.planned), "an item is lost, or there twice");
        assert_eq!(self.counts.left(), left);
        let (strange, empty): (i64, i64) = self
            .ledger
            .db
            .call(|db| {
                let not_alone = "SELECT count(*) FROM batches s WHERE s.state = 'leased' AND s.deaths > 0 AND EXISTS
                    (SELECT 1 FROM batches o WHERE o.state = 'leased' AND o.worker = s.worker AND o.id <> s.id)";
                let empty =
                    "SELECT count(*) FROM batches WHERE NOT EXISTS (SELECT 1 FROM items WHERE batch = batches.id)";
                Ok((db.query_row(not_alone, (), |row| row.get(0))?, db.query_row(empty, (), |row| row.get(0))?))
            })
            .await
            .unwrap();
        assert_eq!((strange, empty), (0, 0), "a suspect has company, or a batch has no items");
    }

    /// Two workers go on without further trouble: the job comes to its end, everything accounted for.
    async fn finish(&mut self) {
        self.ledger.planned(self.job, planning(1), true).await.unwrap();
        self.ledger.end_local_leases().await.unwrap();
        self.now += 2 * LEASE;
        self.ledger.expire(self.job, self.now).await.unwrap();
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
        assert!(self.ledger.is_worked_off(self.job).await.unwrap() && self.counts.left() == 0);
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
            assert!(alone >= MOST_DEATHS_ALONE, "{} crashed after being alone {alone} times", failure.uri);
        }
    }
}

fn dealt_with(counts: JobCounts) -> u64 {
    counts.done + counts.failed
}

fn outcome(task: &Task, fails: bool) -> Outcome {
    let fate = if fails {
        let uri = task.image.uri.clone();
        Fate::Failed(ItemFailure { uri, class: FailureClass::Corrupt, message: "broken".into(), attempts: 1 })
    } else {
        let (etag, size_bytes) = (task.image.etag.clone(), task.image.size_bytes);
        Fate::Indexed(Indexed { etag, size_bytes, stores: Holders::parse("embedded"), copied: false })
    };
    Outcome { ticket: task.ticket, fate }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_item_is_lost_or_counted_twice_and_the_job_ends(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        run(async {
            let mut world = World::new().await;
            world.plan(7, 3).await;
            for step in steps {
                world.take(step).await;
                world.check().await;
            }
            world.finish().await;
        });
    }
}

#[test]
fn an_image_that_kills_its_workers_fails_alone_and_nothing_else_does() {
    run(async {
        let mut world = World::new().await;
        world.plan(64, 16).await;
        world.ledger.planned(world.job, planning(1), true).await.unwrap();
        let poison = ImageUri::new("b", "0021.jpg");
        let mut deaths = 0;
        loop {
            // As a pool does: it takes as much as it gets before it is done with anything.
            let mut got = Vec::new();
            let over = loop {
                match world.lease(0).await {
                    Leased::Batch(batch) => got.push(batch),
                    Leased::NothingYet => break false,
                    Leased::NothingLeft => break true,
                }
            };
            if got.iter().any(|batch| batch.tasks.iter().any(|task| task.image.uri == poison)) {
                deaths += 1;
                world.ledger.bury(world.job, WORKERS[0]).await.unwrap();
                world.workers[0] = Worker::default();
            } else {
                for batch in got {
                    let outcomes = batch.tasks.iter().map(|task| outcome(task, false)).collect();
                    world.report(0, Report { batch: batch.id, attempt: batch.attempt, outcomes }).await;
                }
                if over {
                    break;
                }
            }
            world.check().await;
        }
        let failed = world.ledger.failures(world.job, 0, 10).await.unwrap().failures;
        let named: Vec<_> =
            failed.iter().map(|failure| (failure.uri.clone(), failure.class, failure.attempts)).collect();
        // With 15, 7, 3 and 1 neighbours, then four times alone.
        assert_eq!((named, deaths), (vec![(poison, FailureClass::Crashed, 8)], 8));
        assert_eq!((world.counts.done, world.counts.failed), (63, 1));
    });
}

#[test]
fn a_lease_that_ran_out_is_another_s_and_its_worker_hears_of_it() {
    run(async {
        let mut world = World::new().await;
        world.plan(4, 4).await;
        let Leased::Batch(old) = world.lease(0).await else { panic!("nothing leased") };
        world.now += LEASE - 1;
        assert!(world.ledger.expire(world.job, world.now).await.unwrap().is_empty());
        world.renew(0).await;
        world.now += LEASE - 1;
        assert!(world.ledger.expire(world.job, world.now).await.unwrap().is_empty(), "renewed in time");
        world.now += 1;
        assert_eq!(world.ledger.expire(world.job, world.now).await.unwrap(), ["a"]);
        let Leased::Batch(half) = world.lease(1).await else { panic!("nothing leased") };
        assert_eq!((half.tasks.len(), half.id), (2, old.id), "half of it, under the old number");
        assert!(matches!(world.lease(1).await, Leased::NothingYet), "who has a suspect gets nothing else");

        let report = |outcomes| vec![Report { batch: old.id, attempt: old.attempt, outcomes }];
        let late = report(vec![outcome(&old.tasks[0], false), outcome(&old.tasks[1], true)]);
        let said = world.ledger.report(world.job, collection(), "s".into(), "a", late).await.unwrap();
        assert_eq!((said.counts.done, said.counts.failed, said.lost), (1, 0, vec![old.id]));
        let held = vec![Held { batch: old.id, attempt: old.attempt }];
        assert_eq!(world.ledger.renew(world.job, "a", held, world.now).await.unwrap(), [old.id]);
        let report = Report { batch: half.id, attempt: half.attempt, outcomes: vec![outcome(&half.tasks[1], true)] };
        let said = world.ledger.report(world.job, collection(), "s".into(), "b", vec![report]).await.unwrap();
        assert_eq!((said.counts.done, said.counts.failed, said.lost), (1, 1, vec![]));
    });
}
