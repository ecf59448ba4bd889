//! Images with the same bytes share one call of the model, whether it has ended or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use glimpse::domain::{FailureClass, StoreSet};
use glimpse::imaging::ImagingSettings;
use glimpse::index::Stores;
use glimpse::pipeline::{ItemOutcome, Pipeline, PipelineSettings, Task, TaskOutcome};

use super::chain::{self, png};
use crate::support::fakes::{MeanProvider, MemoryIndex, MemorySource};

/// A model whose calls take longer than the other steps.
fn slow() -> MeanProvider {
    MeanProvider { delay: Duration::from_secs(1), ..MeanProvider::default() }
}

/// Indexes images whose contents are repeated in turn, in batches of this size. Returns the outcomes, the number of records,
/// and the number of images in the calls of the model.
async fn index(contents: &[Vec<u8>], count: usize, batch: usize) -> (Vec<TaskOutcome>, usize, usize) {
    let objects = (0..count).map(|at| (format!("{at:04}.png"), contents[at % contents.len()].clone()));
    let (source, provider, index) =
        (Arc::new(MemorySource::new(objects)), Arc::new(slow()), Arc::new(MemoryIndex::default()));
    let task = |(ticket, image)| Task {
        ticket,
        image,
        stored_in: StoreSet::default(),
        possible_copy: None,
        refresh: false,
        metadata: BTreeMap::new(),
    };
    let tasks: Vec<Task> = (0..).zip(source.refs()).map(task).collect();
    let settings =
        PipelineSettings { image_embed_batch_size: batch, glimpse_embed_lanes: 3, ..PipelineSettings::default() };
    let limits = ImagingSettings::default().limits();
    let pipeline = Pipeline::new(source, provider.clone(), Stores::new(vec![index.clone()]), limits, &settings);
    let (ended, mut outcomes) = chain::run(&pipeline, &tasks).await;
    ended.unwrap();
    outcomes.sort_by_key(|outcome| outcome.ticket);
    let (records, embedded) = (index.records.lock().unwrap().len(), provider.calls.lock().unwrap().iter().sum());
    (outcomes, records, embedded)
}

#[tokio::test(start_paused = true)]
async fn each_content_is_embedded_once() {
    let contents: Vec<_> = (0..5).map(|number| png(10 + 20 * u8::try_from(number).unwrap(), number)).collect();
    for batch in [1, 2, 8] {
        let (outcomes, records, embedded) = index(&contents, 200, batch).await;
        let done = outcomes.iter().filter(|outcome| matches!(outcome.result, ItemOutcome::Indexed(_)));
        assert_eq!((done.count(), records, embedded), (200, 200, contents.len()), "in batches of {batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_image_that_the_model_refuses_fails_for_itself() {
    // The model refuses what has no red.
    let contents = [png(0, 0), png(9, 0)];
    for batch in [1, 4] {
        let (outcomes, records, _) = index(&contents, 40, batch).await;
        assert_eq!((outcomes.len(), records), (40, 20), "in batches of {batch}");
        for TaskOutcome { ticket, result } in outcomes {
            match result {
                ItemOutcome::Indexed(_) => assert_eq!(ticket % 2, 1),
                ItemOutcome::Failed(failure) => {
                    assert_eq!((ticket % 2, failure.class), (0, FailureClass::EmbedRejected));
                }
                ItemOutcome::PartlyStored(_) => panic!("there is one store"),
            }
        }
    }
}
