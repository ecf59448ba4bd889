//! A copy between stores is read from any store that answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use glimpse::domain::{CollectionName, StoreSet};
use glimpse::imaging::ImagingSettings;
use glimpse::index::{ImageIndex, Resilient, Stores};
use glimpse::pipeline::{ItemOutcome, Pipeline, PipelineSettings, Task};
use glimpse::resilience::{Guard, WaitList};

use crate::pipeline::chain::{self, keyed};
use crate::support::fakes::{MeanProvider, MemoryIndex};
use crate::support::named_index::NamedIndex;

fn store(name: &'static str) -> Arc<MemoryIndex> {
    Arc::new(MemoryIndex { name_override: Some(name), ..MemoryIndex::default() })
}

/// Stores with the retry policy of a job.
fn with_background_retries(stores: &[Arc<dyn ImageIndex>]) -> Stores {
    let guarded = stores.iter().map(|store| {
        let guard = Guard::background(store.name(), WaitList::default());
        Arc::new(Resilient::new(store.clone(), guard)) as Arc<dyn ImageIndex>
    });
    Stores::new(guarded.collect())
}

#[tokio::test(start_paused = true)]
async fn a_record_of_two_stores_is_copied_from_the_one_that_answers() {
    let (source, provider) = (Arc::new(keyed([9; 6])), Arc::new(MeanProvider::default()));
    let (unavailable, full, empty) = (NamedIndex::new("gone"), store("full"), store("empty"));
    let (limits, settings) = (ImagingSettings::default().limits(), PipelineSettings::default());
    let tasks = |stored_in: &str| -> Vec<Task> {
        let task = |(ticket, image)| Task {
            ticket,
            image,
            stored_in: StoreSet::parse(stored_in),
            possible_copy: None,
            refresh: false,
            metadata: BTreeMap::new(),
        };
        (0..).zip(source.refs()).map(task).collect()
    };
    let over = |stores| Pipeline::new(source.clone(), provider.clone(), stores, limits, &settings);
    let only: Arc<dyn ImageIndex> = full.clone();
    chain::run(&over(with_background_retries(std::slice::from_ref(&only))), &tasks("")).await.0.unwrap();
    let embedded = provider.calls.lock().unwrap().len();

    unavailable.switch(false);
    let all = over(with_background_retries(&[unavailable.clone(), full.clone(), empty.clone()]));
    let lagging = tasks("full,gone");
    let copied = chain::run(&all, &lagging);
    let (ended, outcomes) = tokio::time::timeout(Duration::from_mins(1), copied).await.expect("it does not wait");
    ended.unwrap();
    let done =
        outcomes.iter().filter(|outcome| matches!(&outcome.result, ItemOutcome::Indexed(indexed) if indexed.copied));
    assert_eq!((done.count(), empty.records.lock().unwrap().len()), (6, 6));
    assert_eq!(provider.calls.lock().unwrap().len(), embedded, "nothing is embedded again");
}

#[tokio::test(start_paused = true)]
async fn a_read_fails_only_if_no_store_answers() {
    let name = CollectionName::parse("documents").unwrap();
    let (one, two) = (NamedIndex::new("one"), NamedIndex::new("two"));
    let stores = Stores::new(vec![one.clone(), two.clone()]);
    let ids = [keyed([9; 1]).refs()[0].uri.id()];
    let all = stores.name_set();
    one.switch(false);
    two.switch(false);
    let (store, _) = stores.get_from_any(&all, &name, &ids).await.unwrap_err();
    assert_eq!(store, "two");
    let from_none = stores.get_from_any(&StoreSet::default(), &name, &ids).await;
    assert!(from_none.unwrap().is_empty(), "no store is called");
    // A store that has the collection but not the record has answered.
    two.switch(true);
    two.ensure_image_collection(&name, &crate::support::fakes::mean_space()).await.unwrap();
    assert!(stores.get_from_any(&all, &name, &ids).await.unwrap().is_empty());
}
