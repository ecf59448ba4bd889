//! Finds the pairs of similar records of any store by one search per record.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::{ImageIndex, IndexError};
use crate::domain::{CollectionName, Filter, ImageId, ImageRecord, SearchEffort, SearchQuery};

/// Records that are read at the same time.
const CHUNK: usize = 64;
/// Searches that run at the same time.
const CONCURRENT_SEARCHES: usize = 8;

/// Which pairs [`ImageIndex::near_pairs`] returns.
#[derive(Clone, Debug)]
pub struct NearPairs {
    /// Each record is paired with at most this many others, the nearest ones.
    pub max_per_record: usize,
    /// The minimum cosine of a pair.
    pub min_score: f32,
    /// Records that are in no pair.
    pub without: Arc<HashSet<ImageId>>,
}

/// Returns the pairs by one search for each record.
pub(super) fn by_search<'a, I: ImageIndex + ?Sized>(
    index: &'a I,
    collection: &'a CollectionName,
    options: NearPairs,
) -> BoxStream<'a, Result<(ImageId, ImageId), IndexError>> {
    let without = options.without.clone();
    let ids = index.scan(collection).try_filter(move |id| std::future::ready(!without.contains(id)));
    let records = ids.try_chunks(CHUNK).map_err(|error| error.1);
    let records = records.and_then(move |ids| async move { index.get(collection, &ids).await });
    let records = records.map_ok(|records| stream::iter(records.into_iter().map(Ok))).try_flatten();
    let searches = records.map_ok(move |record| nearest(index, collection, record, options.clone()));
    let pairs = searches.try_buffer_unordered(CONCURRENT_SEARCHES);
    pairs.map_ok(|pairs| stream::iter(pairs.into_iter().map(Ok))).try_flatten().boxed()
}

async fn nearest<I: ImageIndex + ?Sized>(
    index: &I,
    collection: &CollectionName,
    record: ImageRecord,
    options: NearPairs,
) -> Result<Vec<(ImageId, ImageId)>, IndexError> {
    let ImageRecord { id, embedding, .. } = record;
    // The nearest record of a record is the record itself.
    let query = SearchQuery {
        embedding,
        limit: options.max_per_record + 1,
        offset: 0,
        filter: Filter::default(),
        effort: SearchEffort::Default,
    };
    let hits = index.search(collection, &query).await?.into_iter();
    let others =
        hits.filter(|hit| hit.score >= options.min_score && hit.id != id && !options.without.contains(&hit.id));
    Ok(others.map(|hit| (id, hit.id)).collect())
}
