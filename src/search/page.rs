//! The hits of one page: merged from the stores, filtered and collapsed.

use std::collections::HashMap;

use tokio::time::Instant;

use super::collapse::{self, Collapse, CollapsedHit};
use super::copies::{MAX_COPY_CANDIDATES, Original};
use super::query_input::MAX_PAGE_END;
use super::{MergedHit, Scale, Search, SearchError, SearchOptions, StoreReplies};
use crate::domain::{CollectionInfo, CollectionName, Embedding, ImageId};
use crate::index::Stores;
use crate::index::several_stores::{Merged, StoreResults};
use crate::telemetry::traces;

/// Hits that are looked at for each hit that is asked for, because some will be collapsed.
const OVERFETCH: usize = 2;
/// If that was not enough, this many times more hits are looked at.
const NEXT_OVERFETCH: usize = 8;

/// Returns how many hits are looked at first to fill a page that ends at `end`, and how many to skip in the store.
/// `likes` images of the query are left out.
pub(super) fn first_window(options: &SearchOptions, likes: usize) -> (usize, usize) {
    if options.copies_only {
        return (MAX_COPY_CANDIDATES + likes, 0);
    }
    let end = options.offset + options.limit;
    match (options.collapse, likes) {
        (Collapse::None, 0) => (options.limit, options.offset),
        // They are left out at any rank, so the page is cut afterwards.
        (Collapse::None, likes) => (end + likes, 0),
        (Collapse::Identical | Collapse::Similar, likes) => ((end * OVERFETCH).min(MAX_PAGE_END) + likes, 0),
    }
}

impl Search {
    /// Returns the page that `options` asks for. With [`Collapse::Identical`], looks at more hits until the page is full,
    /// but at most at the first [`MAX_PAGE_END`]; of copies only, at the first [`MAX_COPY_CANDIDATES`].
    pub(super) async fn page(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        infos: StoreResults<CollectionInfo>,
        replies: &mut StoreReplies,
        limits: (Option<&Scale>, &SearchOptions),
    ) -> Result<Merged<Vec<CollapsedHit>>, SearchError> {
        traces::stage("page").wrap(self.filled_page(stores, collection, infos, replies, limits)).await
    }

    async fn filled_page(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        infos: StoreResults<CollectionInfo>,
        replies: &mut StoreReplies,
        (scale, options): (Option<&Scale>, &SearchOptions),
    ) -> Result<Merged<Vec<CollapsedHit>>, SearchError> {
        let excluded = replies.vectors.excluded.clone();
        let skipped = options.offset - replies.query.offset;
        loop {
            let nearest = std::mem::take(&mut replies.nearest);
            let Merged { value: mut hits, warnings } =
                stores.merge(infos.clone(), nearest, &replies.space, &replies.query)?;
            let found = hits.len();
            retain_good(&mut hits, scale, options);
            // The hits are ordered, so that no later one passes the filter either.
            let is_all = found < replies.query.limit || hits.len() < found;
            hits.retain(|found| !excluded.contains(&found.hit.id));
            if let (true, Some(original)) = (options.copies_only, &replies.vectors.same_as) {
                hits = copies(original.clone(), hits).await?;
            }
            let mut hits = self.collapsed(stores, collection, hits, options.collapse).await?;
            let max = MAX_PAGE_END + excluded.len();
            let is_full = hits.len() >= skipped + options.limit;
            let can_grow = options.collapse == Collapse::Identical && !options.copies_only;
            if !can_grow || is_full || is_all || replies.query.limit >= max {
                hits.drain(..skipped.min(hits.len()));
                hits.truncate(options.limit);
                return Ok(Merged { value: hits, warnings });
            }
            replies.query.limit = (replies.query.limit * NEXT_OVERFETCH).min(max);
            let start = Instant::now();
            replies.nearest = stores.nearest(collection, &replies.query).await;
            replies.search += start.elapsed();
        }
    }

    async fn collapsed(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        hits: Vec<MergedHit>,
        collapse: Collapse,
    ) -> Result<Vec<CollapsedHit>, SearchError> {
        match collapse {
            Collapse::None => Ok(collapse::separate(hits)),
            Collapse::Identical => Ok(collapse::by_content(hits)),
            Collapse::Similar => {
                let ids: Vec<ImageId> = hits.iter().map(|found| found.hit.id).collect();
                let vectors = Self::vectors_of(stores, collection, &ids).await;
                compare(move || collapse::by_copy(hits, &vectors)).await
            }
        }
    }

    /// Returns the vectors of these records; none of a record that was deleted meanwhile, or whose store fails.
    pub(super) async fn vectors_of(
        stores: &Stores,
        collection: &CollectionName,
        ids: &[ImageId],
    ) -> HashMap<ImageId, Embedding> {
        let mut vectors: HashMap<ImageId, Embedding> = HashMap::new();
        for store in stores.iter() {
            let missing: Vec<ImageId> = ids.iter().filter(|id| !vectors.contains_key(*id)).copied().collect();
            if missing.is_empty() {
                break;
            }
            match traces::stage("read records").wrap(store.get(collection, &missing)).await {
                Ok(got) => vectors.extend(got.into_iter().map(|record| (record.id, record.embedding))),
                Err(error) => tracing::warn!(store = store.name(), %error, "the vectors of results cannot be read"),
            }
        }
        vectors
    }
}

/// Returns the hits that are copies of the image of the query.
async fn copies(original: Original, mut hits: Vec<MergedHit>) -> Result<Vec<MergedHit>, SearchError> {
    compare(move || {
        original.retain_copies(&mut hits);
        hits
    })
    .await
}

/// Compares signatures outside the threads of the async runtime.
async fn compare<T: Send + 'static>(comparison: impl FnOnce() -> T + Send + 'static) -> Result<T, SearchError> {
    tokio::task::spawn_blocking(comparison).await.map_err(|panic| {
        tracing::error!(%panic, "comparing the hits of a search panicked");
        SearchError::Panicked
    })
}

/// Removes hits whose score or relevance is too low.
fn retain_good(hits: &mut Vec<MergedHit>, scale: Option<&Scale>, options: &SearchOptions) {
    if let Some(min_score) = options.min_score {
        hits.retain(|found| found.hit.score >= min_score);
    }
    if let (Some(min_relevance), Some(scale)) = (options.min_relevance, scale) {
        hits.retain(|found| scale.relevance(found.hit.score) >= min_relevance);
    }
}
