//! Samples of collections. Ids are hashes of addresses, so the records with the smallest ids are a random sample, and the
//! same one in every store.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use lru::LruCache;
use tokio::time::Instant;

use super::calibrated::Calibrated;
use super::fit::TextFit;
use super::scale::Background;
use super::vectors::Vectors;
use crate::domain::{CollectionName, Embedding, ImageId};
use crate::index::{IndexError, Stores};
use crate::lock::lock;

/// Number of records in a sample, and of records in one request.
const SAMPLE: usize = 512;
const REQUEST: usize = 128;
/// Maximum time for a sample. A search does not wait longer for it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a sample is used, and how long the empty one after a failure.
const MAX_AGE: Duration = Duration::from_hours(1);
const RETRY_DELAY: Duration = Duration::from_secs(30);
/// Number of collections whose samples are kept; each has about a megabyte.
const MAX_COLLECTIONS: NonZeroUsize = NonZeroUsize::new(32).unwrap();

/// The samples of the collections that were searched last.
pub(super) struct Backgrounds(Mutex<LruCache<Key, Arc<Slot>>>);

/// The name of the stores that are searched, and the collection: its content can be another one in each store.
type Key = (&'static str, CollectionName);

impl Default for Backgrounds {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_COLLECTIONS)))
    }
}

/// The sample of one collection. One search takes it; others wait for it.
#[derive(Default)]
struct Slot(tokio::sync::Mutex<Option<Taken>>);

#[derive(Clone)]
struct Taken {
    background: Arc<Background>,
    calibrated: Arc<Calibrated>,
    /// `None` if the sample could not be taken.
    records: Option<u64>,
    until: Instant,
}

impl Backgrounds {
    /// Returns the background of a collection. If its sample cannot be taken, it has only the built-in images.
    pub(super) async fn get(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        calibrated: &Arc<Calibrated>,
        fit: &TextFit,
    ) -> Arc<Background> {
        let slot = lock(&self.0).get_or_insert((stores.name(), collection.clone()), Arc::default).clone();
        let mut taken = slot.0.lock().await;
        let now = Instant::now();
        let valid = |taken: &&Taken| taken.until > now && Arc::ptr_eq(&taken.calibrated, calibrated);
        if let Some(valid) = taken.as_ref().filter(valid) {
            return valid.background.clone();
        }
        let sample = tokio::time::timeout(TIMEOUT, take_sample(stores, collection)).await;
        let (vectors, records, until) = match sample {
            Ok(Ok((vectors, records))) => (vectors, Some(records), now + MAX_AGE),
            // The search reports this itself.
            Ok(Err(IndexError::UnknownCollection(_))) => (Vec::new(), None, now),
            Ok(Err(error)) => {
                tracing::warn!(%collection, %error, "no sample of a collection can be taken; its relevance is less exact");
                (Vec::new(), None, now + RETRY_DELAY)
            }
            Err(_) => {
                tracing::warn!(%collection, "a sample of a collection takes too long; its relevance is less exact");
                (Vec::new(), None, now + RETRY_DELAY)
            }
        };
        let dimension = calibrated.images.dimension;
        let mut sample = Vectors::new(dimension);
        vectors
            .iter()
            .filter(|vector| vector.dimension() == dimension)
            .for_each(|vector| sample.push(vector.as_slice()));
        let background = Background::new(fit, sample, &calibrated.images, &calibrated.unrelated, records.unwrap_or(0));
        let background = Arc::new(background);
        *taken = Some(Taken { background: background.clone(), calibrated: calibrated.clone(), records, until });
        background
    }

    /// Discards the sample if the collection has twice or half as many records as then.
    pub(super) fn report_size(&self, stores: &Stores, collection: &CollectionName, records: u64) {
        let key = (stores.name(), collection.clone());
        let mut slots = lock(&self.0);
        let Some(slot) = slots.peek(&key) else { return };
        let is_outdated = slot.0.try_lock().is_ok_and(|taken| {
            let before = taken.as_ref().and_then(|taken| taken.records);
            before.is_some_and(|before| records > before.saturating_mul(2) || records < before / 2)
        });
        if is_outdated {
            slots.pop(&key);
        }
    }
}

/// Returns the vectors of the sample, and the number of records, from the first store that has the collection.
async fn take_sample(stores: &Stores, collection: &CollectionName) -> Result<(Vec<Embedding>, u64), IndexError> {
    let mut failure = IndexError::UnknownCollection(collection.clone());
    for store in stores.iter() {
        let info = match store.describe(collection).await {
            Ok(Some(info)) => info,
            Ok(None) => continue,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        let ids: Vec<ImageId> = store.scan(collection).take(SAMPLE).try_collect().await?;
        let mut vectors = Vec::with_capacity(ids.len());
        for ids in ids.chunks(REQUEST) {
            let records = store.get(collection, ids).await?;
            vectors.extend(records.into_iter().map(|record| record.embedding));
        }
        return Ok((vectors, info.count));
    }
    Err(failure)
}
