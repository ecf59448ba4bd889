//! A Qdrant server, over gRPC. One attempt a call (the crate's client connects again and sends again once, which is
//! harmless: ids follow from URIs), no breaker, and no memory that could lie: `index::resilient` goes around it.
//!
//! ```text
//! {collection}_images      cosine; metadata: the collection's name, its whole space, whether all of it is made
//!   point UUID             the image's id: the same in every store
//!     payload              the fields of `Payload`, and `glimpse_meta_pairs` where `meta_kv` is ambiguous
//! ```
//!
//! Other people's collections on the same server are neither listed nor touched.

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
use self::collection::name_there;
use self::error::{Fault, trouble};
use self::limit::{Bound, Limit};
pub use self::url::grpc_url;
use super::learned::Learned;
use super::{Ensured, ImageIndex, IndexError, InvalidStore};
use crate::domain::{CollectionInfo, CollectionName, Hit, ImageId, ImageRecord, SearchQuery, Secret, Space, Trouble};

/// The word of `provider=`.
const NAME: &str = "qdrant";
/// Ids that `scan` reads at a time.
const PAGE: usize = 1_000;
/// Records that `get` reads at a time: some megabytes.
const READ: usize = 500;
/// Ids in one request to delete.
const DELETED: usize = 10_000;

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QdrantSettings {
    /// `QDRANT_URL`; see [`grpc_url`].
    pub url: String,
    /// `QDRANT_API_KEY`; empty: none.
    pub api_key: Secret,
    /// `VECTOR_DB_TIMEOUT`: how long one call may take.
    pub timeout: Duration,
}

/// The store in a Qdrant server.
pub struct QdrantIndex {
    client: Client,
    /// Sizes of vectors, as they were when they were asked for; see `write.rs`.
    sizes: Mutex<HashMap<CollectionName, usize>>,
    limits: Limits,
    /// Until when the server's version is taken for known; see `version.rs`.
    version_checked: Mutex<Option<Instant>>,
}

/// What the server has shown of its limits.
#[derive(Debug, Default)]
struct Limits {
    /// Points of one write.
    points: Learned,
    /// Bytes of one write, about.
    bytes: Learned,
    /// Points of one reply.
    page: Learned,
    /// Ids of one request.
    ids: Learned,
}

impl QdrantIndex {
    /// A client of that server. Connects when it is first used; within a runtime.
    ///
    /// # Errors
    /// [`InvalidStore`]: no client can be made of these settings, whether or not the server is there.
    pub fn new(settings: QdrantSettings) -> Result<Self, InvalidStore> {
        Ok(Self {
            client: Client::new(settings)?,
            sizes: Mutex::default(),
            limits: Limits::default(),
            version_checked: Mutex::default(),
        })
    }

    /// Exact, or about right if the server's strict mode allows no exact count.
    async fn count(&self, collection: &CollectionName) -> Result<u64, IndexError> {
        let ask = |exact| {
            let request = CountPointsBuilder::new(name_there(collection)).exact(exact);
            self.client.call(self.client.qdrant.count(request))
        };
        let mut counted = ask(true).await;
        if matches!(&counted, Err(Fault::Limit(limit)) if limit.bound == Bound::Exact) {
            counted = ask(false).await;
        }
        Ok(counted.map_err(|fault| self.about(collection, fault))?.result.unwrap_or_default().count)
    }

    /// The first ids from `from` on, ascending, and where to go on.
    async fn ids(
        &self,
        collection: &CollectionName,
        from: Option<PointId>,
    ) -> Result<(Vec<ImageId>, Option<PointId>), IndexError> {
        let page = loop {
            let limit = self.limits.page.cap(PAGE);
            let mut request = ScrollPointsBuilder::new(name_there(collection))
                .limit(u32::try_from(limit).unwrap_or(u32::MAX))
                .with_payload(false)
                .with_vectors(false);
            if let Some(from) = &from {
                request = request.offset(from.clone());
            }
            match self.client.call(self.client.qdrant.scroll(request)).await {
                Ok(page) => break page,
                Err(Fault::Limit(refused)) if shrinks(&self.limits.page, &refused, limit) => {}
                Err(fault) => return Err(self.about(collection, fault)),
            }
        };
        let ids: Result<_, Fault> = page.result.into_iter().map(|point| points::id_here(point.id)).collect();
        Ok((ids.map_err(|fault| fault.about(collection))?, page.next_page_offset))
    }
}

/// Whether a smaller reply or a list of fewer ids than `asked` may be allowed; if so, it is remembered.
fn shrinks(learned: &Learned, refused: &Limit, asked: usize) -> bool {
    let smaller = match refused.bound {
        Bound::Page => refused.allowed.filter(|allowed| *allowed < asked).unwrap_or(asked / 2),
        // How many points so many bytes are is not known.
        Bound::Bytes | Bound::Points => asked / 2,
        Bound::Exact | Bound::Room | Bound::Fixed => 0,
    };
    if smaller > 0 {
        tracing::info!(asked, smaller, said = refused.said, "Qdrant limits requests; smaller ones are sent");
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
            // Dropped in between.
            Err(IndexError::UnknownCollection(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        self.check_version().await?;
        let mut all = Vec::new();
        for (name, space) in self.all_ours().await? {
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
            let some = &rest[..self.limits.ids.cap(DELETED).min(rest.len())];
            let list = PointsIdsList { ids: some.iter().copied().map(points::id_there).collect() };
            let request = DeletePointsBuilder::new(name_there(collection)).points(list).wait(true);
            match self.client.write(self.client.qdrant.delete_points(request)).await {
                Ok(()) => rest = &rest[some.len()..],
                Err(Fault::Limit(refused)) if shrinks(&self.limits.ids, &refused, some.len()) => {}
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
                // Perhaps the collection was dropped and made again in another size.
                self.forget_size(collection);
                self.check_query(collection, query).await?;
                Err(trouble(Trouble::Refused, detail).into())
            }
            answer => answer.map_err(|fault| self.about(collection, fault)),
        }
    }

    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        let (mut records, mut rest) = (Vec::with_capacity(ids.len()), ids);
        while !rest.is_empty() {
            let some = &rest[..self.limits.page.cap(READ).min(rest.len())];
            let list: Vec<PointId> = some.iter().copied().map(points::id_there).collect();
            let request = GetPointsBuilder::new(name_there(collection), list).with_payload(true).with_vectors(true);
            match self.client.call(self.client.qdrant.get_points(request)).await {
                Ok(got) => {
                    for point in got.result {
                        records.push(points::record(point).map_err(|fault| fault.about(collection))?);
                    }
                    rest = &rest[some.len()..];
                }
                Err(Fault::Limit(refused)) if shrinks(&self.limits.page, &refused, some.len()) => {}
                Err(fault) => return Err(self.about(collection, fault)),
            }
        }
        Ok(records)
    }

    /// In pages: an id that is written meanwhile may or may not be among them.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        /// Where the next page begins, if there is one.
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

    /// Refuses to remove what is not ours.
    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let unknown = || self.about(collection, Fault::Unknown);
        self.find(collection).await?.ok_or_else(unknown)?.space(collection)?;
        self.forget_size(collection);
        if self.drop_there(collection).await? { Ok(()) } else { Err(unknown()) }
    }

    /// Lists the collections, for which a key is needed where there is one, and checks the server's version.
    async fn ready(&self) -> Result<(), IndexError> {
        let (listed, version) =
            futures::join!(self.client.call(self.client.qdrant.list_collections()), self.check_version());
        listed.map_err(|fault| match fault {
            Fault::Server(error) => error.into(),
            other => IndexError::from(trouble(Trouble::Refused, format!("does not list its collections: {other:?}"))),
        })?;
        version
    }
}
