//! A store in a Weaviate server. Classes and readiness use REST, everything else gRPC (GraphQL is being phased out). It
//! makes one attempt for each call (two if the server panicked), within the time limit of a call. Apart from learned
//! limits nothing is cached between calls, so nothing can be out of date. Circuit breakers and retries are not part of
//! this module.
//!
//! A collection is a class `{Collection}Images` whose description has the name and the space of the collection. Every
//! call reads it, which takes a millisecond. A search reads it in parallel, at no cost. `names::GUARD` ensures without
//! a request that no write creates a class through auto-schema.
//!
//! With `ASYNC_INDEXING=true` a server confirms writes before a search can find them. A job waits for that at its end,
//! for a limited time (`settled`).

mod class;
mod error;
mod filter;
mod names;
mod objects;
mod queue;
mod reading;
mod rest;
mod rpc;
mod schema;
mod settings;
mod walk;
mod wire;
mod writing;

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use self::class::Kept;
use self::error::{describe, failed, from_status, trouble};
use self::rest::Rest;
use self::rpc::Rpc;
use self::schema::Found;
pub use self::settings::WeaviateSettings;
use self::wire::AggregateRequest;
use super::learned::LearnedLimit;
use super::{Ensured, ImageIndex, IndexError, InvalidStore};
use crate::domain::{CollectionInfo, CollectionName, FailureKind, Hit, ImageId, ImageRecord, SearchQuery, Space};

/// The name in `provider=`.
const NAME: &str = "weaviate";
/// The status that a healthy gRPC server reports to a health check.
const SERVING: i32 = 1;

/// A store in a Weaviate server.
#[derive(Debug)]
pub struct WeaviateIndex {
    rest: Rest,
    rpc: Rpc,
    limits: Limits,
}

/// The limits of the server that were learned.
#[derive(Debug, Default)]
struct Limits {
    /// The objects of one reply.
    results: LearnedLimit,
    /// The bytes of one write.
    bytes: LearnedLimit,
    /// The ids of one request.
    ids: LearnedLimit,
}

impl WeaviateIndex {
    /// Creates a store that connects at the first call.
    ///
    /// # Errors
    /// Returns [`InvalidStore`] if an address or the key cannot be used. The message names the variable.
    #[expect(clippy::needless_pass_by_value, reason = "every store takes its settings by value")]
    pub fn new(settings: WeaviateSettings) -> Result<Self, InvalidStore> {
        let key = settings.bearer()?;
        let rpc = Rpc::new(&settings.grpc()?, key.as_ref(), settings.timeout)?;
        Ok(Self { rest: Rest::new(settings.rest()?, key, settings.timeout)?, rpc, limits: Limits::default() })
    }

    async fn info(&self, kept: Kept) -> Result<CollectionInfo, IndexError> {
        let Kept { collection: name, space } = kept;
        let request = AggregateRequest { collection: name.weaviate_class(), objects_count: true };
        let reply = self.rpc.aggregate(request).await.map_err(|status| from_status(&status, &name))?;
        let count = reply.single_result.and_then(|single| u64::try_from(single.objects_count?).ok());
        let count = count.ok_or_else(|| failed(FailureKind::Failed, "the server returned no object count"))?;
        Ok(CollectionInfo { name, space, count })
    }
}

/// Returns `None` for a collection that was dropped while it was read.
fn none_if_dropped(info: Result<CollectionInfo, IndexError>) -> Result<Option<CollectionInfo>, IndexError> {
    match info {
        Err(IndexError::UnknownCollection(_)) => Ok(None),
        other => other.map(Some),
    }
}

#[async_trait]
impl ImageIndex for WeaviateIndex {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ensure_image_collection(&self, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError> {
        schema::ensure(&self.rest, collection, space).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        match schema::find(&self.rest, collection).await? {
            Found::Nothing | Found::Twin(_) => Ok(None),
            Found::Own(kept) => none_if_dropped(self.info(kept).await),
            Found::Foreign(why) => Err(failed(FailureKind::Refused, why)),
        }
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        let mut all = Vec::new();
        for kept in schema::all(&self.rest).await? {
            all.extend(none_if_dropped(self.info(kept).await)?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn upsert(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        writing::upsert(self, collection, records).await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        writing::delete(self, collection, ids).await
    }

    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        reading::search(self, collection, query).await
    }

    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        reading::get(self, collection, ids).await
    }

    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        walk::ids(self, collection)
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        schema::remove(&self.rest, collection).await
    }

    async fn settled(&self, collection: &CollectionName, within: Duration) -> Result<Option<u64>, IndexError> {
        queue::settled(&self.rest, collection, within).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        let (rest, rpc) = futures::join!(schema::ready(&self.rest), self.rpc.health());
        rest?;
        let health = rpc.map_err(|status| {
            failed(trouble(&status), format!("the gRPC service of Weaviate: {}", describe(&status)))
        })?;
        if health.status == SERVING {
            return Ok(());
        }
        Err(failed(FailureKind::Failed, "the gRPC service of Weaviate reports that it is not serving"))
    }
}
