//! The jobs of a service that has no API.

use std::path::Path;
use std::sync::Arc;

use glimpse::collection_models::CollectionModels;
use glimpse::disk::{DiskSettings, DiskWatch, MinFree};
use glimpse::embed::{FixedModels, ImageEmbeddingProvider};
use glimpse::imaging::ImagingSettings;
use glimpse::index::Stores;
use glimpse::jobs::{DropListener, JobParts, JobSettings, Jobs};
use glimpse::ledger::Ledger;
use glimpse::pipeline::{Pipeline, PipelineSettings};
use glimpse::resilience::WaitList;
use glimpse::shutdown::Shutdown;

use crate::pipeline::chain::keyed;

/// Starts jobs over the bucket `b`, with their ledger in `folder`.
pub(crate) async fn start_jobs(
    folder: &Path,
    provider: Arc<dyn ImageEmbeddingProvider>,
    stores: Stores,
    shutdown: &Shutdown,
) -> (Jobs, Ledger) {
    let ledger = Ledger::open(folder).unwrap();
    let (limits, settings) = (ImagingSettings::default().limits(), PipelineSettings::default());
    let pipeline = Pipeline::new(Arc::new(keyed([9; 3])), provider.clone(), stores.clone(), limits, &settings);
    let models = Arc::new(FixedModels::new("fixed", provider));
    let jobs = Jobs::start(JobParts {
        ledger: ledger.clone(),
        pipeline,
        models: CollectionModels::open(ledger.clone(), models, stores.clone()).await.unwrap(),
        stores,
        settings: JobSettings::default(),
        default_bucket: "b".to_owned(),
        allowed_buckets: vec!["b".to_owned()],
        thumbnail_prefix: String::new(),
        exclude: glimpse::domain::Excludes::default(),
        placing: None,
        waiting: WaitList::default(),
        disk: DiskWatch::new(folder, DiskSettings { glimpse_disk_min_free: MinFree::Off }, WaitList::default()),
        drop_listener: DropListener::default(),
        drain: shutdown.drain(),
        tasks: shutdown.tasks().clone(),
    });
    (jobs.await.unwrap(), ledger)
}
