//! The bytes of all images that are uploaded at one time have a limit.

use std::path::PathBuf;
use std::sync::Arc;

use glimpse::calibration::Calibration;
use glimpse::collection_models::CollectionModels;
use glimpse::embed::{FixedModels, ImageEmbeddingProvider};
use glimpse::imaging::ImagingSettings;
use glimpse::index::Stores;
use glimpse::ledger::Ledger;
use glimpse::search::{Search, SearchError};

use crate::support::fakes::{MeanProvider, MemoryIndex};

const MEGABYTE: u64 = 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn concurrent_uploads_share_a_limit_of_bytes() {
    let stores = Stores::new(vec![Arc::new(MemoryIndex::default())]);
    let provider: Arc<dyn ImageEmbeddingProvider> = Arc::new(MeanProvider::default());
    let calibration = Calibration::new(&provider, PathBuf::new(), false);
    let folder = tempfile::tempdir().unwrap();
    let models = Arc::new(FixedModels::new("mean", provider));
    let models = CollectionModels::open(Ledger::open(folder.path()).unwrap(), models, stores.clone()).await.unwrap();
    let search = Search::new(models, stores, calibration, ImagingSettings::default().limits());
    let (mut one, mut other) = (search.admit_upload().await.unwrap(), search.admit_upload().await.unwrap());
    one.grow(100 * MEGABYTE).await.unwrap();
    let mut slow: Vec<_> = Vec::new();
    for _ in 0..27 {
        slow.push(search.admit_upload().await.unwrap());
    }
    assert!(matches!(search.admit_upload().await, Err(SearchError::Busy)), "128 MB are the limit");
    // One upload at a time may exceed it, so that they do not all wait for each other.
    other.grow(50 * MEGABYTE).await.unwrap();
    assert!(matches!(one.grow(101 * MEGABYTE).await, Err(SearchError::Busy)));
    drop(other);
    one.grow(150 * MEGABYTE).await.unwrap();
    drop((one, slow));
    drop(search.admit_upload().await.unwrap());
}
