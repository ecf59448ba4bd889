//! The bytes of all images that are uploaded at one time have a limit.

use std::path::PathBuf;
use std::sync::Arc;

use glimpse::calibration::Calibration;
use glimpse::imaging::ImagingSettings;
use glimpse::index::Stores;
use glimpse::search::{Search, SearchError};

use crate::support::fakes::{MeanProvider, MemoryIndex};

const MEGABYTE: u64 = 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn concurrent_uploads_share_a_limit_of_bytes() {
    let stores = Stores::new(vec![Arc::new(MemoryIndex::default())]);
    let provider = Arc::new(MeanProvider::default());
    let calibration = Calibration::new(provider.clone(), PathBuf::new(), false);
    let search = Search::new(provider, stores, calibration, ImagingSettings::default().limits());
    // 50 MB is the limit of one image; an image of unknown size counts as that.
    let (one, unknown) =
        (search.admit_upload(Some(50 * MEGABYTE), 1).await.unwrap(), search.admit_upload(None, 1).await.unwrap());
    let small: Vec<_> = futures::future::join_all((0..28).map(|_| search.admit_upload(Some(1), 1))).await;
    assert!(small.iter().all(Result::is_ok), "128 MB are taken");
    assert!(matches!(search.admit_upload(Some(1), 1).await, Err(SearchError::Busy)));
    drop(one);
    // One that claims more than the limit is refused later, when its bytes arrive.
    drop(search.admit_upload(Some(u64::MAX), 1).await.unwrap());
    drop((unknown, small));
}
