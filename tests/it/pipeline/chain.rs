//! The chain alone, with scripted ports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use glimpse::domain::{
    ByteSize, CollectionName, DependencyError, FailureClass, FailureKind, ImageUri, ItemFailure, StoreSet,
};
use glimpse::embed::{EmbedError, ImageEmbeddingProvider, Resilient};
use glimpse::imaging::ImagingSettings;
use glimpse::index::Stores;
use glimpse::pipeline::{
    ItemOutcome, Pipeline, PipelineSettings, Run, RunError, RunTrace, Stages, Task, TaskOutcome, WriteLease,
};
use glimpse::resilience::{Breaker, BreakerSettings, Guard, WaitList};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::encode_png;
use crate::support::fakes::{MeanProvider, MemoryIndex, MemorySource, down, mean_space};

/// A PNG of one colour, whose bytes differ for each number.
pub(super) fn png(red: u8, number: u16) -> Vec<u8> {
    let [green, blue] = number.to_be_bytes();
    encode_png(image::RgbImage::from_pixel(8, 8, image::Rgb([red, green, blue])))
}

struct Chain {
    source: Arc<MemorySource>,
    provider: Arc<MeanProvider>,
    index: Arc<MemoryIndex>,
    pipeline: Pipeline,
}

fn chain(source: MemorySource, provider: MeanProvider, index: MemoryIndex, settings: &PipelineSettings) -> Chain {
    chain_with(source, provider, index, settings, |provider| provider)
}

fn chain_with(
    source: MemorySource,
    provider: MeanProvider,
    index: MemoryIndex,
    settings: &PipelineSettings,
    around: impl FnOnce(Arc<dyn ImageEmbeddingProvider>) -> Arc<dyn ImageEmbeddingProvider>,
) -> Chain {
    let (source, provider, index) = (Arc::new(source), Arc::new(provider), Arc::new(index));
    let stores = Stores::new(vec![index.clone()]);
    let limits = ImagingSettings::default().limits();
    let pipeline = Pipeline::new(source.clone(), around(provider.clone()), stores, limits, settings);
    Chain { source, provider, index, pipeline }
}

impl Chain {
    fn tasks(&self) -> Vec<Task> {
        (0..)
            .zip(self.source.refs())
            .map(|(ticket, image)| Task {
                ticket,
                image,
                stored_in: StoreSet::default(),
                possible_copy: None,
                refresh: false,
                metadata: BTreeMap::new(),
            })
            .collect()
    }

    async fn run(&self, tasks: Vec<Task>) -> (Result<(), RunError>, Vec<TaskOutcome>) {
        let (ended, mut outcomes) = run(&self.pipeline, &tasks).await;
        outcomes.sort_by_key(|outcome| outcome.ticket);
        (ended, outcomes)
    }
}

fn new_run(pipeline: &Pipeline) -> Run {
    Run {
        collection: CollectionName::parse("c").unwrap(),
        space: Arc::new(mean_space()),
        stages: Arc::new(Stages::new(pipeline.lanes(), None)),
        write_lease: WriteLease::default(),
        exif: pipeline.exif(),
        trace: RunTrace::Own,
    }
}

/// Runs the chain to its end; returns the outcomes in order of arrival.
pub(crate) async fn run(pipeline: &Pipeline, tasks: &[Task]) -> (Result<(), RunError>, Vec<TaskOutcome>) {
    let (outcomes, mut reports) = mpsc::channel(1);
    let run = new_run(pipeline);
    let chain = pipeline.run(run, batches(tasks), outcomes, CancellationToken::new());
    let collect = async {
        let mut all = Vec::new();
        while let Some(outcome) = reports.recv().await {
            all.push(outcome);
        }
        all
    };
    tokio::join!(chain, collect)
}

/// Tasks in leases of four.
pub(crate) fn batches(tasks: &[Task]) -> impl Stream<Item = Vec<Task>> + Send + use<> {
    stream::iter(tasks.chunks(4).map(<[Task]>::to_vec).collect::<Vec<_>>())
}

fn failure(outcome: &TaskOutcome) -> Option<&ItemFailure> {
    match &outcome.result {
        ItemOutcome::Failed(failure) => Some(failure),
        ItemOutcome::Indexed(_) | ItemOutcome::PartlyStored(_) => None,
    }
}

fn is_indexed(outcome: &TaskOutcome) -> bool {
    matches!(outcome.result, ItemOutcome::Indexed(_))
}

/// A bucket with images that all differ.
pub(crate) fn keyed(reds: impl IntoIterator<Item = u8>) -> MemorySource {
    MemorySource::new((0..).zip(reds).map(|(at, red)| (format!("{at:04}.png"), png(red, at))))
}

#[tokio::test(start_paused = true)]
async fn a_rejected_batch_is_halved_until_the_bad_image_is_alone() {
    let settings = PipelineSettings { image_embed_batch_size: 8, ..PipelineSettings::default() };
    let reds = [9, 9, 9, 0, 9, 9, 9, 9];
    let chain = chain(keyed(reds), MeanProvider::default(), MemoryIndex::default(), &settings);
    let (ended, outcomes) = chain.run(chain.tasks()).await;
    ended.unwrap();
    assert_eq!(outcomes.len(), 8);
    for outcome in outcomes {
        match failure(&outcome) {
            None => assert_ne!(outcome.ticket, 3),
            Some(failure) => assert_eq!((outcome.ticket, failure.class), (3, FailureClass::EmbedRejected)),
        }
    }
    assert_eq!(chain.index.records.lock().unwrap().len(), 7);
    // The position of the bad one in the batch depends on the order of decoding.
    let mut sizes = chain.provider.calls.lock().unwrap().clone();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 2, 2, 4, 4, 8]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_record_fails_and_the_rest_of_its_batch_is_written() {
    let index = MemoryIndex { refuses: vec![ImageUri::new("b", "0002.png").id()], ..MemoryIndex::default() };
    let chain = chain(keyed([9; 6]), MeanProvider::default(), index, &PipelineSettings::default());
    let (ended, outcomes) = chain.run(chain.tasks()).await;
    ended.unwrap();
    let failed: Vec<_> = outcomes.iter().filter_map(failure).collect();
    assert_eq!((failed.len(), failed[0].class), (1, FailureClass::IndexRejected));
    assert_eq!(failed[0].uri.key(), "0002.png");
    assert_eq!(chain.index.records.lock().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_dependency_fails_no_item() {
    let settings = PipelineSettings { image_embed_batch_size: 2, ..PipelineSettings::default() };
    let provider = MeanProvider { fails_after: 3, ..MeanProvider::default() };
    let broken = chain(keyed([9; 100]), provider, MemoryIndex::default(), &settings);
    let (ended, outcomes) = broken.run(broken.tasks()).await;
    assert_eq!(ended, Err(EmbedError::Dependency(down("mean")).into()));
    assert!(outcomes.iter().all(is_indexed), "{outcomes:?}");
    assert_eq!(outcomes.len(), 6);

    let index = MemoryIndex { is_down: true, ..MemoryIndex::default() };
    let broken = chain(keyed([9; 10]), MeanProvider::default(), index, &PipelineSettings::default());
    let (ended, outcomes) = broken.run(broken.tasks()).await;
    assert_eq!((ended, outcomes.len()), (Err(down("memory").into()), 0));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_provider_costs_no_image() {
    let settings = PipelineSettings { image_embed_batch_size: 2, ..PipelineSettings::default() };
    let provider = MeanProvider { fails_after: 3, recovers_after: 12, ..MeanProvider::default() };
    let wait_list = WaitList::default();
    let breaker = BreakerSettings { threshold: 5, cool_down: Duration::from_secs(30) };
    let guard = Guard::background("mean", wait_list.clone()).with_breaker(Arc::new(Breaker::new(breaker)));
    let patient = |provider| Arc::new(Resilient::new(provider, guard)) as Arc<dyn ImageEmbeddingProvider>;
    let chain = chain_with(keyed([9; 100]), provider, MemoryIndex::default(), &settings, patient);
    let started = tokio::time::Instant::now();
    let observed = async {
        tokio::time::sleep(Duration::from_secs(45)).await;
        wait_list.snapshot()
    };
    let ((ended, outcomes), waiting) = tokio::join!(chain.run(chain.tasks()), observed);
    ended.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| is_indexed(outcome)).count(), 100);
    assert_eq!(chain.index.records.lock().unwrap().len(), 100);
    assert!(waiting.unwrap().dependency == "mean" && wait_list.snapshot().is_none());
    assert!(started.elapsed() > Duration::from_mins(1), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_refuses_access_is_not_called_again() {
    let settings =
        PipelineSettings { image_embed_batch_size: 2, glimpse_embed_lanes: 1, ..PipelineSettings::default() };
    let provider = MeanProvider { fails_after: 3, failure: FailureKind::Refused, ..MeanProvider::default() };
    let guard = Guard::background("mean", WaitList::default());
    let patient = |provider| Arc::new(Resilient::new(provider, guard)) as Arc<dyn ImageEmbeddingProvider>;
    let chain = chain_with(keyed([9; 100]), provider, MemoryIndex::default(), &settings, patient);
    let (ended, outcomes) = chain.run(chain.tasks()).await;
    let refused = DependencyError { failure: FailureKind::Refused, ..down("mean") };
    assert_eq!(ended, Err(EmbedError::Dependency(refused).into()));
    assert!(outcomes.iter().all(is_indexed), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn vectors_of_another_space_never_reach_a_store() {
    let settings = PipelineSettings { image_embed_batch_size: 2, ..PipelineSettings::default() };
    let provider = MeanProvider { changes_model_after: 3, ..MeanProvider::default() };
    let chain = chain(keyed([9; 100]), provider, MemoryIndex::default(), &settings);
    let (ended, outcomes) = chain.run(chain.tasks()).await;
    let message = ended.unwrap_err().to_string();
    assert!(message.contains("`mean/2/crop-8-bicubic`") && message.contains("`another/2/crop-8-bicubic`"), "{message}");
    assert!(outcomes.iter().all(is_indexed) && outcomes.len() <= 6, "{outcomes:?}");
    assert_eq!(chain.index.records.lock().unwrap().len(), outcomes.len());
}

#[tokio::test(start_paused = true)]
async fn vanished_objects_are_reported_and_lanes_are_never_exceeded() {
    let settings = PipelineSettings { glimpse_fetch_lanes: 3, ..PipelineSettings::default() };
    let chain = chain(keyed([9; 50]), MeanProvider::default(), MemoryIndex::default(), &settings);
    let mut tasks = chain.tasks();
    tasks[7].image.uri = ImageUri::new("b", "gone.png");
    let (ended, outcomes) = chain.run(tasks).await;
    ended.unwrap();
    let failure = failure(&outcomes[7]).unwrap();
    assert_eq!((failure.class, failure.uri.key()), (FailureClass::FetchMissing, "gone.png"));
    assert_eq!(chain.source.max_fetching.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_no_new_work_and_completes_work_in_flight() {
    let provider = MeanProvider { delay: Duration::from_secs(1), ..MeanProvider::default() };
    let chain = chain(keyed([9; 200]), provider, MemoryIndex::default(), &PipelineSettings::default());
    let (outcomes, mut reports) = mpsc::channel(1);
    let run = new_run(&chain.pipeline);
    let stop = CancellationToken::new();
    let work = chain.pipeline.run(run, batches(&chain.tasks()), outcomes, stop.clone());
    let collect = async {
        let mut count = 0;
        while reports.recv().await.is_some() {
            stop.cancel();
            count += 1;
        }
        count
    };
    let (ended, count) = tokio::join!(work, collect);
    ended.unwrap();
    assert!((1..150).contains(&count), "{count}");
    assert_eq!(chain.index.records.lock().unwrap().len(), count, "every record is reported");
}

#[tokio::test(start_paused = true)]
async fn a_small_budget_slows_but_never_deadlocks() {
    let settings = PipelineSettings { glimpse_memory_mb: ByteSize::megabytes(1), ..PipelineSettings::default() };
    let chain = chain(keyed([9; 60]), MeanProvider::default(), MemoryIndex::default(), &settings);
    let mut tasks = chain.tasks();
    for task in &mut tasks {
        // The listing claims that each image needs the whole budget.
        task.image.size_bytes = 40 << 20;
    }
    let (ended, outcomes) = chain.run(tasks).await;
    ended.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| is_indexed(outcome)).count(), 60);
    assert_eq!(chain.source.max_fetching.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_listing_does_not_hold_back_a_partial_chunk() {
    let chain = chain(keyed([9; 3]), MeanProvider::default(), MemoryIndex::default(), &PipelineSettings::default());
    let (outcomes, mut reports) = mpsc::channel(16);
    let run = new_run(&chain.pipeline);
    let endless = batches(&chain.tasks()).chain(stream::pending());
    let work = chain.pipeline.run(run, endless, outcomes, CancellationToken::new());
    let three = async {
        for _ in 0..3 {
            reports.recv().await.unwrap();
        }
    };
    tokio::select! {
        ended = work => panic!("ended: {ended:?}"),
        () = three => {}
    }
}
