//! The chain with several stores: an image is done when all stores have it, and stores that lag are recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use glimpse::domain::{DependencyError, FailureClass, FailureKind, StoreSet};
use glimpse::imaging::ImagingSettings;
use glimpse::index::{ImageIndex, Resilient, Stores};
use glimpse::pipeline::{ItemOutcome, Pipeline, PipelineSettings, RunError, Task, TaskOutcome};
use glimpse::resilience::{Guard, WaitList};

use crate::pipeline::chain::{self, keyed};
use crate::support::fakes::{MeanProvider, MemoryIndex, MemorySource, down};

struct Chain {
    source: Arc<MemorySource>,
    provider: Arc<MeanProvider>,
    pipeline: Pipeline,
    wait_list: WaitList,
}

/// A chain over these stores with the retry policy of a job.
fn chain_over(stores: &[&Arc<MemoryIndex>]) -> Chain {
    let (source, provider) = (Arc::new(keyed([9; 6])), Arc::new(MeanProvider::default()));
    let wait_list = WaitList::default();
    let guarded = stores.iter().map(|&store| {
        let guard = Guard::background(store.name(), wait_list.clone());
        Arc::new(Resilient::new(store.clone(), guard)) as Arc<dyn ImageIndex>
    });
    let stores = Stores::new(guarded.collect());
    let limits = ImagingSettings::default().limits();
    let settings = PipelineSettings { image_embed_batch_size: 2, ..PipelineSettings::default() };
    let pipeline = Pipeline::new(source.clone(), provider.clone(), stores, limits, &settings);
    Chain { source, provider, pipeline, wait_list }
}

impl Chain {
    fn tasks(&self, stored_in: &str) -> Vec<Task> {
        let stored_in = StoreSet::parse(stored_in);
        (0..)
            .zip(self.source.refs())
            .map(|(ticket, image)| Task {
                ticket,
                image,
                stored_in: stored_in.clone(),
                possible_copy: None,
                refresh: false,
                metadata: BTreeMap::new(),
            })
            .collect()
    }

    /// Returns the outcomes in order of arrival.
    async fn run(&self, tasks: Vec<Task>) -> (Result<(), RunError>, Vec<TaskOutcome>) {
        chain::run(&self.pipeline, &tasks).await
    }

    fn embedded(&self) -> usize {
        self.provider.calls.lock().unwrap().iter().sum()
    }
}

fn store(name: &'static str) -> MemoryIndex {
    MemoryIndex { name_override: Some(name), ..MemoryIndex::default() }
}

fn record_count(store: &MemoryIndex) -> usize {
    store.records.lock().unwrap().len()
}

/// The stores that have the images that are done, and those that have the others.
fn holders(outcomes: &[TaskOutcome]) -> (Vec<String>, Vec<String>) {
    let (mut done, mut lagging) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match &outcome.result {
            ItemOutcome::Indexed(indexed) => done.push(indexed.stores.to_string()),
            ItemOutcome::PartlyStored(indexed) => lagging.push(indexed.stores.to_string()),
            ItemOutcome::Failed(_) => {}
        }
    }
    (done, lagging)
}

#[tokio::test(start_paused = true)]
async fn the_chain_waits_for_a_store_that_is_down_and_records_that_it_lags() {
    let (up, slow) = (Arc::new(store("up")), Arc::new(MemoryIndex { failures: AtomicUsize::new(20), ..store("slow") }));
    let chain = chain_over(&[&up, &slow]);
    let observed = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        (chain.wait_list.snapshot(), record_count(&up))
    };
    let ((ended, outcomes), (waiting, meanwhile)) = tokio::join!(chain.run(chain.tasks("")), observed);
    ended.unwrap();
    let (done, lagging) = holders(&outcomes);
    assert_eq!(done, vec!["slow,up"; 6]);
    // As many batches of two as there are lanes, each reported once.
    assert_eq!(lagging, vec!["up"; 4]);
    assert_eq!((record_count(&up), record_count(&slow), chain.embedded()), (6, 6, 6));
    assert_eq!((waiting.unwrap().dependency.as_str(), meanwhile), ("slow", 4));
}

#[tokio::test(start_paused = true)]
async fn a_record_of_one_store_is_copied_to_the_other_and_not_embedded_again() {
    let (full, empty) = (Arc::new(store("full")), Arc::new(store("empty")));
    chain_over(&[&full]).run(chain_over(&[&full]).tasks("")).await.0.unwrap();
    // One does not exist, one is an older version: these are read from the bucket.
    let chain = chain_over(&[&full, &empty]);
    let mut tasks = chain.tasks("full");
    full.records.lock().unwrap().remove(&tasks[0].image.uri.id());
    tasks[1].image.etag = Some("newer".into());
    let (ended, outcomes) = chain.run(tasks).await;
    ended.unwrap();
    assert_eq!(holders(&outcomes), (vec!["empty,full".to_owned(); 6], vec![]));
    assert_eq!((record_count(&full), record_count(&empty), chain.embedded()), (6, 6, 2));
    let same = full.records.lock().unwrap().values().eq(empty.records.lock().unwrap().values());
    assert!(same, "a copy is the record itself");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_one_store_refuses_fails_and_is_recorded_in_the_other() {
    let takes_all = Arc::new(store("takes"));
    let id = keyed([9; 6]).refs()[2].uri.id();
    let refuses = Arc::new(MemoryIndex { refuses: vec![id], ..store("refuses") });
    let chain = chain_over(&[&takes_all, &refuses]);
    let (ended, outcomes) = chain.run(chain.tasks("")).await;
    ended.unwrap();
    let of_it: Vec<_> =
        outcomes.into_iter().filter(|outcome| outcome.ticket == 2).map(|outcome| outcome.result).collect();
    let [ItemOutcome::PartlyStored(indexed), ItemOutcome::Failed(failure)] = of_it.as_slice() else {
        panic!("{of_it:?}")
    };
    assert_eq!(indexed.stores.to_string(), "takes");
    assert_eq!((failure.class, failure.message.as_str()), (FailureClass::IndexRejected, "refuses: on purpose"));
    assert_eq!((record_count(&takes_all), record_count(&refuses)), (6, 5));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_access_ends_the_run_and_no_image_is_done() {
    let (up, refuses) = (Arc::new(store("up")), Arc::new(MemoryIndex { refuses_access: true, ..store("refuses") }));
    let chain = chain_over(&[&up, &refuses]);
    let (ended, outcomes) = chain.run(chain.tasks("")).await;
    let refused = DependencyError { failure: FailureKind::Refused, ..down("refuses") };
    assert_eq!(ended, Err(refused.into()));
    let (done, lagging) = holders(&outcomes);
    assert!(done.is_empty() && lagging.len() == record_count(&up), "{lagging:?}");
}
