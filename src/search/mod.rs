//! Makes a vector from a text, an image or both, and finds the most similar images. Depends on the traits of the ports, and not on HTTP.

mod collapse;
mod compare;
mod copies;
mod decoder;
mod embeddings;
mod error;
mod observe;
mod page;
mod query_input;
mod refit;
mod upload_permit;
mod vector;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::calibration::{Calibration, NoRelevance, PreparedScale, QueryKind, RELEVANT};
use crate::collection_models::CollectionModels;
use crate::domain::{CollectionInfo, CollectionName, Hit, ImageId, SearchEffort, SearchQuery, Space};
use crate::imaging::Limits;
use crate::index::several_stores::{Merged, Resolved, StoreResults};
use crate::index::{IndexError, Stores};
use crate::pipeline::budget::ByteBudget;

pub use crate::calibration::{Refit, Scale};
pub use crate::index::several_stores::MergedHit;
pub use collapse::{Collapse, CollapsedHit};
pub use compare::{Compared, Comparison, GenerationResults};
use decoder::Decoder;
pub use embeddings::{EmbeddingInputs, EmbeddingOptions, Embeddings};
pub use error::{SearchError, SearchErrorKind};
use query_input::validate;
pub use query_input::{
    MAX_CHARACTERS, MAX_HITS, MAX_IMAGES, MAX_PAGE_END, MAX_TERMS, MAX_WEIGHT, MIN_WEIGHT, QueryImage, QueryInput,
    Region, SearchOptions, Term, TermInput,
};
pub use refit::{LabelledQuery, MAX_LABELLED_QUERIES, RefitPermit};
pub use upload_permit::UploadPermit;
use vector::QueryVectors;

/// The search service. Clones share its state.
#[derive(Clone)]
pub struct Search {
    models: CollectionModels,
    stores: Stores,
    calibration: Calibration,
    decoder: Arc<Decoder>,
    /// One permit for each concurrent search.
    permits: Arc<Semaphore>,
    /// One permit: fits of collections run one after the other.
    refits: Arc<Semaphore>,
    max_image_bytes: u64,
    /// The bytes of images that may be uploaded at the same time.
    uploads: Arc<ByteBudget>,
    /// The texts that generations are compared with.
    sample_texts: Arc<[String]>,
    comparisons: Arc<compare::Comparisons>,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("stores", &self.stores).finish_non_exhaustive()
    }
}

/// The result of a search.
#[derive(Clone, Debug)]
pub struct SearchResults {
    /// The store that was searched, or `all`.
    pub provider: &'static str,
    /// The collection that was searched.
    pub collection: CollectionName,
    /// The number of its generation that was searched.
    pub generation: u32,
    /// The model that made the query's vector.
    pub model: String,
    /// The hits, best first.
    pub hits: Vec<CollapsedHit>,
    /// For a query of several terms: for each hit, its cosine with each of them.
    pub terms: Option<Vec<Vec<f32>>>,
    /// Converts their scores to relevance, or why that is not possible.
    pub scale: Result<Scale, NoRelevance>,
    /// Whether no record of the collection is relevant; `None` if that is not known.
    pub no_good_match: Option<bool>,
    /// The SHA-256 of the image in `like`, if the query has one.
    pub same_as: Option<String>,
    /// One message for each store that is left out, with the reason.
    pub warnings: Vec<String>,
    /// The time to embed the query, including the decoding of images.
    pub embed: Duration,
    /// The time spent in the stores.
    pub search: Duration,
}

/// The results of the stores before merging, with the timings.
struct StoreReplies {
    space: Arc<Space>,
    vectors: QueryVectors,
    query: SearchQuery,
    kind: QueryKind,
    nearest: StoreResults<Vec<Hit>>,
    /// The best hit of each store, if the page does not begin with it.
    first: Option<StoreResults<Vec<Hit>>>,
    scale: Result<PreparedScale, NoRelevance>,
    embed: Duration,
    search: Duration,
}

/// The maximum number of concurrent searches. Further ones are refused with [`SearchError::Busy`].
const MAX_CONCURRENT_SEARCHES: usize = 64;
/// How long a client should wait after [`SearchError::Busy`].
pub const RETRY_WHEN_BUSY: Duration = Duration::from_secs(1);

impl Search {
    /// Creates the search service.
    pub fn new(models: CollectionModels, stores: Stores, calibration: Calibration, limits: Limits) -> Self {
        Self {
            models,
            stores,
            calibration,
            decoder: Arc::new(Decoder::new(limits)),
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_SEARCHES)),
            refits: Arc::new(Semaphore::new(1)),
            max_image_bytes: limits.max_bytes,
            uploads: Arc::new(ByteBudget::new(upload_permit::budget(limits.max_bytes))),
            sample_texts: Arc::default(),
            comparisons: Arc::default(),
        }
    }

    /// Returns the nearest images to a query. Each store is asked for the space of its collection while the query is
    /// embedded and searched for, so that a store with a different space is left out before the result is returned.
    ///
    /// # Errors
    /// Returns a [`SearchError`] if an option is invalid, too many searches run, or the provider or every store fails.
    pub async fn search(&self, query: QueryInput, options: SearchOptions) -> Result<SearchResults, SearchError> {
        validate(&query, &options)?;
        let _permit = self.permits.try_acquire().map_err(|_| SearchError::Busy)?;
        let name = CollectionName::parse(&options.collection)?;
        // The search uses this generation to its end, also if another one becomes the current one meanwhile.
        let Resolved { number: generation, physical: collection, .. } =
            self.stores.generations().resolve(&name, options.generation)?;
        let stores = self.stores.choose(options.provider.as_deref());
        let stores = stores.map_err(|message| SearchError::Invalid { field: "provider", message })?;
        let (infos, mut replies) = self.search_stores(&stores, &collection, query, &options).await?;
        // A sample is taken from the first store that has the collection.
        if let Some(info) = infos.iter().find_map(|(_, info)| info.as_ref().ok()) {
            self.calibration.report_size(&stores, &collection, info.count);
        }
        let first = replies.first.as_deref().unwrap_or(&replies.nearest);
        let best = best_score(first, &replies.vectors.excluded);
        let with_best = |scale: &PreparedScale| {
            scale.with_best(replies.kind, &replies.query.embedding, best.unwrap_or(f32::NEG_INFINITY))
        };
        let scale = replies.scale.as_ref().map(with_best).map_err(NoRelevance::clone);
        if options.min_relevance.is_some()
            && let Err(reason) = &scale
        {
            return Err(SearchError::NoRelevance(reason.clone()));
        }
        let limits = (scale.as_ref().ok(), &options);
        let Merged { value: hits, warnings } = self.page(&stores, &collection, infos, &mut replies, limits).await?;
        let no_good_match = scale.as_ref().ok().map(|scale| best.is_none_or(|best| scale.relevance(best) < RELEVANT));
        let ids: Vec<ImageId> = hits.iter().map(|group| group.found.hit.id).collect();
        let terms = match &replies.vectors.terms[..] {
            [_] => None,
            several => Some(Self::term_scores(&stores, &collection, &ids, several).await),
        };
        let (provider, model) = (stores.name(), replies.space.model.clone());
        Ok(SearchResults {
            provider,
            collection: name,
            generation,
            model,
            hits,
            terms,
            scale,
            no_good_match,
            same_as: replies.vectors.same_as.map(|original| original.content_sha256),
            warnings,
            embed: replies.embed,
            search: replies.search,
        })
    }

    /// Asks each store for the space and the size of the collection and, in parallel, for the nearest records in it.
    async fn search_stores(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        query: QueryInput,
        options: &SearchOptions,
    ) -> Result<(StoreResults<CollectionInfo>, StoreReplies), SearchError> {
        let infos = std::pin::pin!(stores.infos(collection));
        let replies = std::pin::pin!(self.embed_and_search(stores, collection, query, options));
        // An unknown collection is reported without waiting for the vector, and in preference to any other error.
        Ok(match select(infos, replies).await {
            Either::Left((infos, replies)) => (infos?, replies.await?),
            Either::Right((replies, infos)) => (infos.await?, replies?),
        })
    }

    async fn embed_and_search(
        &self,
        stores: &Stores,
        collection: &CollectionName,
        query: QueryInput,
        options: &SearchOptions,
    ) -> Result<StoreReplies, SearchError> {
        let (model, space) = self.models.for_search(collection).await?;
        self.calibration.use_model(&model.searches, &space);
        let start = Instant::now();
        let kind = query.kind();
        let vectors = self.embed(query, collection, (&model, &space)).await?;
        let embed = start.elapsed();
        let (limit, offset) = page::first_window(options, vectors.excluded.len());
        let query = SearchQuery {
            embedding: vectors.sum.clone(),
            limit,
            offset,
            filter: options.filter.clone(),
            effort: if options.exact { SearchEffort::Exact } else { SearchEffort::Default },
        };
        let start = Instant::now();
        let first = async {
            let first = SearchQuery { limit: 1, offset: 0, ..query.clone() };
            if query.offset > 0 { Some(stores.nearest(collection, &first).await) } else { None }
        };
        let (nearest, first, scale) = tokio::join!(
            stores.nearest(collection, &query),
            first,
            self.calibration.prepare(stores, collection, &space, kind)
        );
        Ok(StoreReplies { space, vectors, query, kind, nearest, first, scale, embed, search: start.elapsed() })
    }
}

/// Returns the best score among the hits of all stores, without the indexed images of the query.
fn best_score(results: &[(&'static str, Result<Vec<Hit>, IndexError>)], excluded: &[ImageId]) -> Option<f32> {
    let hits = results.iter().filter_map(|(_, hits)| hits.as_ref().ok()).flatten();
    let others = hits.filter(|hit| !excluded.contains(&hit.id));
    others.map(|hit| hit.score).max_by(f32::total_cmp)
}
