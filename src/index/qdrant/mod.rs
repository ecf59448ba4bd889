//! A store in a Qdrant server, over gRPC. It makes one attempt for each call and has no circuit breaker;
//! `index::resilient` wraps it. (The client of the crate reconnects and sends a request again once. That is harmless,
//! because ids are derived from URIs.)
//!
//! ```text
//! {collection}_images      cosine; metadata: the name of the collection, its space, whether its creation is complete
//!   point UUID             the id of the image, the same in every store
//!     payload              the fields of `Payload`, `glimpse_meta_pairs` if `meta_kv` is ambiguous, and the
//!                          numbers and dates of `meta` as `meta_numbers` and `meta_dates`
//! ```
//!
//! Collections of other applications on the same server are neither listed nor changed.

mod browse;
mod client;
mod collection;
mod config;
mod error;
mod facets;
mod filter;
mod limit;
mod record;
mod schema;
mod search;
mod typed_indexes;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::stream::BoxStream;

use self::client::Client;
pub(super) use self::config::check_key;
pub use self::config::{QdrantSettings, grpc_url};
use self::error::Fault;
use self::limit::{Bound, Limit};
use super::shared::{none_if_dropped, paged_ids};
use super::size_limit::SizeLimit;
use super::{EnsureOutcome, ImageIndex, IndexError, Quantization};
use crate::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, FacetQuery, Facets, Hit, ImageId,
    ImageRecord, InvalidSetting, SearchQuery, Space, StoredImage,
};
use crate::lock::lock;

/// The name in `provider=`.
const NAME: &str = "qdrant";

/// A store in a Qdrant server.
pub struct QdrantIndex {
    client: Client,
    /// The dimension of the vectors of each collection when it was last requested. It may only be used to accept a
    /// vector: the server checks again, and before a vector is refused the dimension is requested anew.
    dimensions: Mutex<HashMap<CollectionName, usize>>,
    /// The indexes of numbers and dates of metadata that exist or that the server has refused.
    typed_indexes: Mutex<HashMap<CollectionName, BTreeSet<String>>>,
    limits: Limits,
    quantization: Quantization,
}

/// Limits of the server that it has shown by refusing a request.
#[derive(Debug, Default)]
struct Limits {
    /// The points of one write.
    points: SizeLimit,
    /// The approximate bytes of one write.
    bytes: SizeLimit,
    /// The points of one reply.
    page: SizeLimit,
    /// The ids of one request.
    ids: SizeLimit,
}

impl QdrantIndex {
    /// Creates a store that connects at the first call. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// Returns [`InvalidSetting`] if the settings are invalid. A server that cannot be reached is not an error
    /// here.
    pub fn new(settings: QdrantSettings) -> Result<Self, InvalidSetting> {
        Ok(Self {
            quantization: settings.quantization,
            client: Client::new(settings)?,
            dimensions: Mutex::default(),
            typed_indexes: Mutex::default(),
            limits: Limits::default(),
        })
    }

    /// Requests the space of the collection from the server.
    async fn space(&self, collection: &CollectionName) -> Result<Space, IndexError> {
        let found = schema::find(&self.client, collection).await?;
        let found = found.ok_or_else(|| self.index_error(collection, Fault::Unknown))?;
        let space = found.space(collection)?.clone();
        lock(&self.dimensions).insert(collection.clone(), space.dimension);
        Ok(space)
    }

    fn cached_dimension(&self, collection: &CollectionName) -> Option<usize> {
        lock(&self.dimensions).get(collection).copied()
    }

    fn forget(&self, collection: &CollectionName) {
        lock(&self.dimensions).remove(collection);
        lock(&self.typed_indexes).remove(collection);
    }

    /// Converts an error into an error of the port. Forgets a collection that does not exist any more.
    fn index_error(&self, collection: &CollectionName, fault: Fault) -> IndexError {
        if fault == Fault::Unknown {
            self.forget(collection);
        }
        fault.into_index_error(collection)
    }
}

/// Returns whether a reply or an id list smaller than `requested` may be allowed, and lowers the limit then.
fn lower_limit(size_limit: &SizeLimit, refusal: &Limit, requested: usize) -> bool {
    let smaller = match refusal.bound {
        Bound::Page => refusal.allowed.filter(|allowed| *allowed < requested).unwrap_or(requested / 2),
        // The number of points that fit into the allowed bytes is unknown.
        Bound::Bytes | Bound::Points => requested / 2,
        Bound::Exact | Bound::Capacity | Bound::Fixed => 0,
    };
    if smaller > 0 {
        let reply = &refusal.message;
        tracing::info!(requested, smaller, reply, "Qdrant limits the size of requests; smaller ones are sent");
        size_limit.lower(smaller);
    }
    smaller > 0
}

impl fmt::Debug for QdrantIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QdrantIndex").field("url", &self.client.qdrant().config.uri).finish_non_exhaustive()
    }
}

#[async_trait]
impl ImageIndex for QdrantIndex {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ensure_image_collection(
        &self,
        collection: &CollectionName,
        space: &Space,
    ) -> Result<EnsureOutcome, IndexError> {
        self.forget(collection);
        schema::ensure(&self.client, collection, space, self.quantization).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        let Some(found) = schema::find(&self.client, collection).await? else { return Ok(None) };
        let space = found.space(collection)?.clone();
        let count = none_if_dropped(search::count(self, collection).await)?;
        Ok(count.map(|count| CollectionInfo { name: collection.clone(), space, count }))
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        self.client.check_version().await?;
        let mut all = Vec::new();
        for (name, space) in schema::own_collections(&self.client).await? {
            let count = none_if_dropped(search::count(self, &name).await)?;
            all.extend(count.map(|count| CollectionInfo { name, space, count }));
        }
        Ok(all)
    }

    async fn upsert(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        write::upsert(self, collection, records).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        write::delete(self, collection, ids).await
    }

    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        search::search(self, collection, query).await
    }

    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        search::get(self, collection, ids).await
    }

    async fn payloads(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<StoredImage>, IndexError> {
        let images = browse::get(self, collection, ids).await;
        images.map_err(|fault| self.index_error(collection, fault))
    }

    async fn browse(&self, collection: &CollectionName, query: &BrowseQuery) -> Result<BrowsePage, IndexError> {
        search::check_ranges(self, collection, &query.filter).await?;
        let page = browse::browse(self, collection, query).await;
        page.map_err(|fault| self.index_error(collection, fault))
    }

    async fn facets(&self, collection: &CollectionName, query: &FacetQuery) -> Result<Facets, IndexError> {
        search::check_ranges(self, collection, &query.filter).await?;
        let facets = facets::facets(self, collection, query).await;
        facets.map_err(|fault| self.index_error(collection, fault))
    }

    async fn summary(&self, collection: &CollectionName) -> Result<CollectionSummary, IndexError> {
        let count = search::count(self, collection).await?;
        let summary = facets::summary(self, collection, count).await;
        summary.map_err(|fault| self.index_error(collection, fault))
    }

    /// Reads in pages: an id that is written during the scan may be included or not.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        let collection = collection.clone();
        paged_ids(move |from| {
            let collection = collection.clone();
            async move { search::ids(self, &collection, from).await }
        })
    }

    /// Fails if this service did not create the collection.
    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let unknown = || self.index_error(collection, Fault::Unknown);
        schema::find(&self.client, collection).await?.ok_or_else(unknown)?.space(collection)?;
        self.forget(collection);
        if schema::remove(&self.client, collection).await? { Ok(()) } else { Err(unknown()) }
    }

    fn levels(&self) -> &'static [u32] {
        &search::LEVELS
    }

    async fn finish_load(&self, collection: &CollectionName) -> Result<(), IndexError> {
        schema::finish_load(&self.client, collection).await
    }

    /// The optimiser of the server builds graphs and quantised vectors after the writes.
    async fn is_settled(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        let found = schema::find(&self.client, collection).await?;
        Ok(found.ok_or_else(|| self.index_error(collection, Fault::Unknown))?.is_optimised)
    }

    async fn set_alias(&self, alias_of: &CollectionName, physical: &CollectionName) -> Result<(), IndexError> {
        schema::set_alias(&self.client, alias_of, physical).await
    }

    /// Lists the collections, which needs the key if the server has one, and checks the version of the server.
    async fn ready(&self) -> Result<(), IndexError> {
        let (names, version) = futures::join!(schema::names(&self.client), self.client.check_version());
        names?;
        Ok(version?)
    }
}
