//! The pool between a broker and the chain, on paused time: it renews leases, gives up what it has lost, and leaves
//! when it is asked to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use glimpse::domain::{CollectionName, StoreSet};
use glimpse::imaging::Limits;
use glimpse::index::Stores;
use glimpse::jobs::pool::broker::{LeaseBroker, LeaseError, LeaseStatus, Offer};
use glimpse::jobs::{Ended, Pool, PoolError};
use glimpse::ledger::{Batch, Held, Report};
use glimpse::pipeline::{Pipeline, PipelineSettings, Run, RunTrace, Stages, Task, WriteLease};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::pipeline::chain::keyed;
use crate::support::fakes::{MeanProvider, MemoryIndex, MemorySource, mean_space};

const RENEW_INTERVAL: Duration = Duration::from_secs(10);

/// Grants every image in batches, and answers renewals as the test wants.
struct ScriptedBroker {
    source: Arc<MemorySource>,
    /// Images in one batch.
    batch: usize,
    /// How long a request for a batch takes.
    latency: Duration,
    granted_images: AtomicUsize,
    /// Successive answers to renewals; then all succeed.
    answers: Mutex<Vec<Result<LeaseStatus, LeaseError>>>,
    renewed: Mutex<Vec<Vec<Held>>>,
    reported: Mutex<Vec<i64>>,
}

impl ScriptedBroker {
    fn new(images: usize, answers: Vec<Result<LeaseStatus, LeaseError>>) -> Arc<Self> {
        Arc::new(Self::scripted(images, answers))
    }

    fn scripted(images: usize, answers: Vec<Result<LeaseStatus, LeaseError>>) -> Self {
        let source = Arc::new(keyed(vec![9; images]));
        let (renewed, reported) = (Mutex::default(), Mutex::default());
        Self {
            source,
            batch: 2,
            latency: Duration::from_millis(1),
            granted_images: AtomicUsize::new(0),
            answers: Mutex::new(answers),
            renewed,
            reported,
        }
    }

    fn pool(self: &Arc<Self>, provider: Arc<MeanProvider>, settings: &PipelineSettings) -> Pool {
        let stores = Stores::new(vec![Arc::new(MemoryIndex::default())]);
        let limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 20, max_decode_bytes: 1 << 24 };
        Pool::new(Pipeline::new(self.source.clone(), provider, stores, limits, settings), self.clone())
    }

    fn batch_of(&self, ticket: i64) -> i64 {
        ticket / i64::try_from(self.batch).unwrap()
    }

    fn reported(&self) -> usize {
        self.reported.lock().unwrap().len()
    }
}

#[async_trait]
impl LeaseBroker for ScriptedBroker {
    async fn lease(&self, _: Vec<Held>) -> Result<Offer, LeaseError> {
        let at = self.granted_images.fetch_add(self.batch, Ordering::SeqCst);
        // What was granted arrives after a delay.
        tokio::time::sleep(self.latency).await;
        let images = self.source.refs();
        let task = |(ticket, image): (usize, glimpse::domain::ImageRef)| Task {
            ticket: i64::try_from(ticket).unwrap(),
            image,
            stored_in: StoreSet::default(),
            possible_copy: None,
            refresh: false,
            metadata: BTreeMap::new(),
        };
        let tasks: Vec<Task> = images.into_iter().enumerate().skip(at).take(self.batch).map(task).collect();
        if tasks.is_empty() {
            return Ok(Offer::NoMoreWork);
        }
        Ok(Offer::Batch(Batch { id: self.batch_of(i64::try_from(at).unwrap()), attempt: 1, tasks }))
    }

    async fn renew(&self, renewed_count: Vec<Held>) -> Result<LeaseStatus, LeaseError> {
        self.renewed.lock().unwrap().push(renewed_count);
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() { Ok(LeaseStatus::default()) } else { answers.remove(0) }
    }

    async fn report(&self, reports: Vec<Report>, renewed_count: Vec<Held>) -> Result<LeaseStatus, LeaseError> {
        assert!(
            reports.iter().all(|report| renewed_count.iter().any(|renewed_count| renewed_count.batch == report.batch)),
            "{renewed_count:?}"
        );
        let tickets = reports.iter().flat_map(|report| {
            assert!(report.outcomes.iter().all(|outcome| self.batch_of(outcome.ticket) == report.batch), "{report:?}");
            report.outcomes.iter().map(|outcome| outcome.ticket)
        });
        self.reported.lock().unwrap().extend(tickets);
        Ok(LeaseStatus::default())
    }

    async fn log(&self, _: Vec<String>) -> Result<(), LeaseError> {
        Ok(())
    }

    async fn give_back(&self) -> Result<(), LeaseError> {
        Ok(())
    }

    fn renew_every(&self) -> Option<Duration> {
        Some(RENEW_INTERVAL)
    }
}

async fn work(broker: &Arc<ScriptedBroker>, delay: Duration) -> (Result<Ended, PoolError>, Duration) {
    let provider = Arc::new(MeanProvider { delay, ..MeanProvider::default() });
    let settings =
        PipelineSettings { image_embed_batch_size: 2, glimpse_embed_lanes: 1, ..PipelineSettings::default() };
    let started = Instant::now();
    (run(broker.pool(provider, &settings)).await, started.elapsed())
}

async fn run(pool: Pool) -> Result<Ended, PoolError> {
    let stages = Arc::new(Stages::new(PipelineSettings::default().lanes(), None));
    let collection = CollectionName::parse("c").unwrap();
    let run = Run {
        collection,
        space: Arc::new(mean_space()),
        stages,
        write_lease: WriteLease::default(),
        exif: glimpse::domain::ExifLevel::Basic,
        trace: RunTrace::Own,
    };
    pool.work(run, &CancellationToken::new()).await
}

#[tokio::test(start_paused = true)]
async fn leases_of_ten_images_fill_batches_of_64_and_no_more_are_held_than_that_needs() {
    let (lanes, batch, images) = (2, 64, 1_000);
    let settings =
        PipelineSettings { image_embed_batch_size: batch, glimpse_embed_lanes: lanes, ..PipelineSettings::default() };
    let latency = Duration::from_millis(20);
    let broker = Arc::new(ScriptedBroker { batch: 10, latency, ..ScriptedBroker::scripted(images, vec![]) });
    let provider = Arc::new(MeanProvider { delay: Duration::from_secs(15), ..MeanProvider::default() });
    assert_eq!(run(broker.pool(provider.clone(), &settings)).await.unwrap(), Ended::Finished);
    assert_eq!(broker.reported(), images);
    let calls = provider.calls.lock().unwrap().clone();
    let full = calls.iter().filter(|size| **size == batch).count();
    assert!(full + lanes + 1 >= calls.len(), "only the first call of a lane and the last call are smaller: {calls:?}");
    let needed = settings.lanes().images_in_flight();
    let renewed_count = broker.renewed.lock().unwrap().iter().map(Vec::len).max().unwrap() * 10;
    assert!(
        (needed - 10..needed + 20).contains(&renewed_count),
        "{renewed_count} images are held, {needed} are needed"
    );
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_during_long_work_and_everything_is_reported_once() {
    let broker = ScriptedBroker::new(8, vec![]);
    let (worked, took) = work(&broker, Duration::from_secs(15)).await;
    assert_eq!(worked.unwrap(), Ended::Finished);
    assert!((60..70).contains(&took.as_secs()), "{took:?}");
    let mut reported = broker.reported.lock().unwrap().clone();
    reported.sort_unstable();
    assert_eq!(reported, (0..8).collect::<Vec<i64>>());
    let renewed = broker.renewed.lock().unwrap();
    assert_eq!(renewed.len(), 6, "every ten seconds of a minute");
    assert!(renewed[0].len() >= 3, "leases of images in the chain are held: {renewed:?}");
    assert!(renewed[5].len() <= 2, "leases of reported images are not renewed: {renewed:?}");
}

#[tokio::test(start_paused = true)]
async fn leases_granted_while_the_chain_is_full_are_renewed_too() {
    let broker = ScriptedBroker::new(400, vec![Err(LeaseError::JobEnded)]);
    let (worked, _) = work(&broker, Duration::from_secs(15)).await;
    assert!(matches!(worked, Err(PoolError::Lease(LeaseError::JobEnded))));
    let (renewed_count, granted) =
        (broker.renewed.lock().unwrap()[0].len(), broker.granted_images.load(Ordering::SeqCst) / 2);
    assert!(renewed_count == granted && granted < 200, "{renewed_count} of {granted}");
}

#[tokio::test(start_paused = true)]
async fn work_in_flight_is_given_up_after_its_lease_is_lost() {
    let lost = |batch: i64| Ok(LeaseStatus { lost: vec![batch], ..LeaseStatus::default() });
    // The first is about a lease that is not held any more: not a reason to stop.
    let broker = ScriptedBroker::new(8, vec![lost(77), lost(3)]);
    let (worked, took) = work(&broker, Duration::from_secs(15)).await;
    assert_eq!(worked.unwrap(), Ended::Lost);
    assert_eq!((took.as_secs(), broker.reported()), (20, 2), "at the renewal that reports it");

    // Images in flight that other workers have completed are not done again.
    let lost = |batch: i64| Ok(LeaseStatus { lost: vec![batch], ..LeaseStatus::default() });
    let broker = ScriptedBroker::new(8, vec![lost(77), lost(1)]);
    let (worked, took) = work(&broker, Duration::from_secs(15)).await;
    assert_eq!((worked.unwrap(), took.as_secs(), broker.reported()), (Ended::Lost, 20, 2));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_completes_its_work_and_a_refused_one_does_not() {
    let broker = ScriptedBroker::new(8, vec![Ok(LeaseStatus { stop: true, ..LeaseStatus::default() })]);
    let (worked, _) = work(&broker, Duration::from_secs(15)).await;
    assert_eq!(worked.unwrap(), Ended::Finished);
    assert!(broker.reported() >= 2);

    let broker = ScriptedBroker::new(8, vec![Err(LeaseError::JobEnded)]);
    let (worked, took) = work(&broker, Duration::from_secs(15)).await;
    assert!(matches!(worked, Err(PoolError::Lease(LeaseError::JobEnded))));
    assert_eq!((took.as_secs(), broker.reported()), (10, 0));
}
