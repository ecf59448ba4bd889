//! A store in a Qdrant server, over gRPC. It makes one attempt for each call and has no circuit breaker;
//! `index::resilient` wraps it. (The client of the crate reconnects and sends a request again once. That is harmless,
//! because ids are derived from URIs.)
//!
//! ```text
//! {collection}_images      cosine; metadata: the name of the collection, its space, whether its creation is complete
//!   point UUID             the id of the image, the same in every store
//!     payload              the fields of `Payload`, and `glimpse_meta_pairs` if `meta_kv` is ambiguous
//! ```
//!
//! Collections of other applications on the same server are neither listed nor changed.

mod client;
mod collection;
mod ensure;
mod error;
mod filter;
mod limit;
mod payload;
mod points;
mod search;
mod url;
mod version;
mod write;

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use qdrant_client::qdrant::{
    CountPointsBuilder, DeletePointsBuilder, GetPointsBuilder, PointId, PointsIdsList, ScrollPointsBuilder,
};

use self::client::Client;
use self::collection::server_name;
use self::error::{Fault, trouble};
use self::limit::{Bound, Limit};
pub use self::url::grpc_url;
use super::learned::LearnedLimit;
use super::{Ensured, ImageIndex, IndexError, InvalidStore};
use crate::domain::{
    CollectionInfo, CollectionName, FailureKind, Hit, ImageId, ImageRecord, SearchQuery, Secret, Space,
};

/// The name in `provider=`.
const NAME: &str = "qdrant";
/// Ids in one page of `scan`.
const SCAN_PAGE: usize = 1_000;
/// Records in one request of `get`: a few megabytes.
const GET_PAGE: usize = 500;
/// Ids in one delete request.
const DELETE_PAGE: usize = 10_000;

/// The address of the server and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QdrantSettings {
    /// `QDRANT_URL`; see [`grpc_url`].
    pub url: String,
    /// `QDRANT_API_KEY`; if empty, no key is sent.
    pub api_key: Secret,
    /// `VECTOR_DB_TIMEOUT`: the time limit of one call.
    pub timeout: Duration,
}

/// A store in a Qdrant server.
pub struct QdrantIndex {
    client: Client,
    /// The dimension of the vectors of each collection when it was last requested; see `write.rs`.
    sizes: Mutex<HashMap<CollectionName, usize>>,
    limits: Limits,
    /// Until when the version of the server is not checked again; see `version.rs`.
    version_checked: Mutex<Option<Instant>>,
}

/// The limits of the server that were learned.
#[derive(Debug, Default)]
struct Limits {
    /// The points of one write.
    points: LearnedLimit,
    /// The approximate bytes of one write.
    bytes: LearnedLimit,
    /// The points of one reply.
    page: LearnedLimit,
    /// The ids of one request.
    ids: LearnedLimit,
}

impl QdrantIndex {
    /// Creates a store that connects at the first call. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// Returns [`InvalidStore`] if the settings are invalid. A server that cannot be reached is not an error here.
    pub fn new(settings: QdrantSettings) -> Result<Self, InvalidStore> {
        Ok(Self {
            client: Client::new(settings)?,
            sizes: Mutex::default(),
            limits: Limits::default(),
            version_checked: Mutex::default(),
        })
    }

    /// Counts the records: exactly, or approximately if the strict mode of the server does not allow exact counts.
    async fn count(&self, collection: &CollectionName) -> Result<u64, IndexError> {
        let ask = |exact| {
            let request = CountPointsBuilder::new(server_name(collection)).exact(exact);
            self.client.call(self.client.qdrant.count(request))
        };
        let mut counted = ask(true).await;
        if matches!(&counted, Err(Fault::Limit(limit)) if limit.bound == Bound::Exact) {
            counted = ask(false).await;
        }
        Ok(counted.map_err(|fault| self.about(collection, fault))?.result.unwrap_or_default().count)
    }

    /// Returns one page of ids from `from` on, ascending, and the start of the next page.
    async fn ids(
        &self,
        collection: &CollectionName,
        from: Option<PointId>,
    ) -> Result<(Vec<ImageId>, Option<PointId>), IndexError> {
        let page = loop {
            let limit = self.limits.page.cap(SCAN_PAGE);
            let mut request = ScrollPointsBuilder::new(server_name(collection))
                .limit(u32::try_from(limit).unwrap_or(u32::MAX))
                .with_payload(false)
                .with_vectors(false);
            if let Some(from) = &from {
                request = request.offset(from.clone());
            }
            match self.client.call(self.client.qdrant.scroll(request)).await {
                Ok(page) => break page,
                Err(Fault::Limit(refused)) if record_smaller_limit(&self.limits.page, &refused, limit) => {}
                Err(fault) => return Err(self.about(collection, fault)),
            }
        };
        let ids: Result<_, Fault> = page.result.into_iter().map(|point| points::image_id(point.id)).collect();
        Ok((ids.map_err(|fault| fault.about(collection))?, page.next_page_offset))
    }
}

/// Returns whether a reply or an id list smaller than `requested` may be allowed, and records the smaller limit then.
fn record_smaller_limit(learned: &LearnedLimit, refused: &Limit, requested: usize) -> bool {
    let smaller = match refused.bound {
        Bound::Page => refused.allowed.filter(|allowed| *allowed < requested).unwrap_or(requested / 2),
        // The number of points that fit into the allowed bytes is unknown.
        Bound::Bytes | Bound::Points => requested / 2,
        Bound::Exact | Bound::Room | Bound::Fixed => 0,
    };
    if smaller > 0 {
        tracing::info!(
            requested,
            smaller,
            reply = refused.said,
            "Qdrant limits the size of requests; smaller ones are sent"
        );
        learned.learn(smaller);
    }
    smaller > 0
}

impl fmt::Debug for QdrantIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QdrantIndex").field("url", &self.client.qdrant.config.uri).finish_non_exhaustive()
    }
}

#[async_trait]
impl ImageIndex for QdrantIndex {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ensure_image_collection(&self, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError> {
        self.forget_size(collection);
        self.ensure(collection, space).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        let Some(found) = self.find(collection).await? else { return Ok(None) };
        let space = found.space(collection)?.clone();
        match self.count(collection).await {
            Ok(count) => Ok(Some(CollectionInfo { name: collection.clone(), space, count })),
            // The collection was dropped in between.
            Err(IndexError::UnknownCollection(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        self.check_version().await?;
        let mut all = Vec::new();
        for (name, space) in self.own_collections().await? {
            match self.count(&name).await {
                Ok(count) => all.push(CollectionInfo { name, space, count }),
                Err(IndexError::UnknownCollection(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn upsert(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        self.put(collection, records).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        let mut rest = ids;
        while !rest.is_empty() {
            let chunk = &rest[..self.limits.ids.cap(DELETE_PAGE).min(rest.len())];
            let list = PointsIdsList { ids: chunk.iter().copied().map(points::point_id).collect() };
            let request = DeletePointsBuilder::new(server_name(collection)).points(list).wait(true);
            match self.client.write(self.client.qdrant.delete_points(request)).await {
                Ok(()) => rest = &rest[chunk.len()..],
                Err(Fault::Limit(refused)) if record_smaller_limit(&self.limits.ids, &refused, chunk.len()) => {}
                Err(fault) => return Err(self.about(collection, fault)),
            }
        }
        Ok(())
    }

    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        self.check_query(collection, query).await?;
        match search::search(self, collection, query).await {
            Err(Fault::Invalid(detail)) => {
                // The collection may have been dropped and created again with another dimension.
                self.forget_size(collection);
                self.check_query(collection, query).await?;
                Err(trouble(FailureKind::Refused, detail).into())
            }
            answer => answer.map_err(|fault| self.about(collection, fault)),
        }
    }

    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        let (mut records, mut rest) = (Vec::with_capacity(ids.len()), ids);
        while !rest.is_empty() {
            let chunk = &rest[..self.limits.page.cap(GET_PAGE).min(rest.len())];
            let list: Vec<PointId> = chunk.iter().copied().map(points::point_id).collect();
            let request = GetPointsBuilder::new(server_name(collection), list).with_payload(true).with_vectors(true);
            match self.client.call(self.client.qdrant.get_points(request)).await {
                Ok(got) => {
                    for point in got.result {
                        records.push(points::record(point).map_err(|fault| fault.about(collection))?);
                    }
                    rest = &rest[chunk.len()..];
                }
                Err(Fault::Limit(refused)) if record_smaller_limit(&self.limits.page, &refused, chunk.len()) => {}
                Err(fault) => return Err(self.about(collection, fault)),
            }
        }
        Ok(records)
    }

    /// Reads in pages: an id that is written during the scan may be included or not.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        /// The start of the next page.
        enum Next {
            First,
            From(PointId),
            End,
        }
        let name = collection.clone();
        let pages = stream::try_unfold((name, Next::First), move |(name, next)| async move {
            let from = match next {
                Next::First => None,
                Next::From(id) => Some(id),
                Next::End => return Ok::<_, IndexError>(None),
            };
            let (ids, next) = self.ids(&name, from).await?;
            Ok(Some((stream::iter(ids.into_iter().map(Ok)), (name, next.map_or(Next::End, Next::From)))))
        });
        pages.try_flatten().boxed()
    }

    /// Fails if this service did not create the collection.
    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let unknown = || self.about(collection, Fault::Unknown);
        self.find(collection).await?.ok_or_else(unknown)?.space(collection)?;
        self.forget_size(collection);
        if self.remove_collection(collection).await? { Ok(()) } else { Err(unknown()) }
    }

    /// Lists the collections, which needs the key if the server has one, and checks the version of the server.
    async fn ready(&self) -> Result<(), IndexError> {
        let (listed, version) =
            futures::join!(self.client.call(self.client.qdrant.list_collections()), self.check_version());
        listed.map_err(|fault| match fault {
            Fault::Server(error) => error.into(),
            other => IndexError::from(trouble(
                FailureKind::Refused,
                format!("the server does not list its collections: {other:?}"),
            )),
        })?;
        version
    }
}
