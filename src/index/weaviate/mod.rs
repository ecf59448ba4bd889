//! A Weaviate server as a store: classes and readiness by REST, all else by gRPC (GraphQL is on its way out). One
//! attempt a call (two where the server panicked), within its own time; nothing is remembered between calls, so nothing can be out of date. Knows
//! nothing of breakers and retries.
//!
//! A collection is a class `{Collection}Images` whose description holds the collection's name and space. Every call
//! looks that up, which is a millisecond, and costs a search nothing because it goes beside it. That no write makes a
//! class by auto-schema needs no look at all: `names::GUARD`.
//!
//! With `ASYNC_INDEXING=true` a server answers writes before they can be found. A job waits for that at its end, for a
//! while (`settled`).

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
use reqwest::header::HeaderValue;

use self::class::Kept;
use self::error::{describe, failed, of_status, trouble};
use self::rest::Rest;
use self::rpc::Rpc;
use self::schema::Found;
pub use self::settings::WeaviateSettings;
use self::wire::AggregateRequest;
use super::learned::Learned;
use super::{Ensured, ImageIndex, IndexError, InvalidStore};
use crate::domain::{CollectionInfo, CollectionName, Hit, ImageId, ImageRecord, SearchQuery, Secret, Space, Trouble};

/// The word of `provider=`.
const NAME: &str = "weaviate";
/// What a gRPC server that is well answers to the question after its health.
const SERVING: i32 = 1;

/// A Weaviate server.
#[derive(Debug)]
pub struct WeaviateIndex {
    rest: Rest,
    rpc: Rpc,
    limits: Limits,
}

/// What the server has shown of its limits.
#[derive(Debug, Default)]
struct Limits {
    /// Objects of one reply.
    results: Learned,
    /// Bytes of one write.
    bytes: Learned,
    /// Ids of one request.
    ids: Learned,
}

impl WeaviateIndex {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`InvalidStore`]: an address or the key cannot be used; the sentence names the variable.
    #[expect(clippy::needless_pass_by_value, reason = "every store is made of its settings")]
    pub fn new(settings: WeaviateSettings) -> Result<Self, InvalidStore> {
        let key = bearer(&settings.api_key)?;
        let rpc = Rpc::new(&settings.grpc()?, key.as_ref(), settings.timeout)?;
        Ok(Self { rest: Rest::new(settings.rest()?, key, settings.timeout)?, rpc, limits: Limits::default() })
    }

    async fn info(&self, kept: Kept) -> Result<CollectionInfo, IndexError> {
        let Kept { collection: name, space } = kept;
        let request = AggregateRequest { collection: name.weaviate_class(), objects_count: true };
        let reply = self.rpc.aggregate(request).await.map_err(|status| of_status(&status, &name))?;
        let count = reply.single_result.and_then(|single| u64::try_from(single.objects_count?).ok());
        let count = count.ok_or_else(|| failed(Trouble::Failed, "it did not count its objects"))?;
        Ok(CollectionInfo { name, space, count })
    }
}

/// `key` as the value of a header; what is wrong with it, never the key itself.
fn bearer(key: &Secret) -> Result<Option<HeaderValue>, InvalidStore> {
    if key.is_empty() {
        return Ok(None);
    }
    let value = HeaderValue::from_str(&format!("Bearer {}", key.reveal())).ok();
    // gRPC takes fewer characters than HTTP.
    let value = value.filter(|value| value.to_str().is_ok());
    let wrong = || InvalidStore("WEAVIATE_API_KEY holds characters that no header may have".to_owned());
    let mut value = value.ok_or_else(wrong)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// A collection that went while it was looked at is none.
fn unless_gone(info: Result<CollectionInfo, IndexError>) -> Result<Option<CollectionInfo>, IndexError> {
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
            Found::JobStance(kept) => unless_gone(self.info(kept).await),
            Found::Foreign(why) => Err(failed(Trouble::Refused, why)),
        }
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        let mut all = Vec::new();
        for kept in schema::all(&self.rest).await? {
            all.extend(unless_gone(self.info(kept).await)?);
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
        let health =
            rpc.map_err(|status| failed(trouble(&status), format!("its gRPC service: {}", describe(&status))))?;
        if health.status == SERVING {
            return Ok(());
        }
        Err(failed(Trouble::Failed, "its gRPC service is not serving"))
    }
}
