//! A store in a Weaviate server. Classes and readiness use REST, everything else gRPC (GraphQL is being phased out). It
//! makes one attempt for each call (two if the server panicked), within the time limit of a call. Apart from the limits
//! of the server nothing is cached between calls, so nothing can be out of date. Circuit breakers and retries are not
//! part of this module.
//!
//! A collection is a class `{Collection}Images` whose description has the name and the space of the collection. Every
//! call reads it, which takes a millisecond. A search reads it in parallel, at no cost. `property::GUARD` ensures
//! without a request that no write creates a class through auto-schema.
//!
//! With `ASYNC_INDEXING=true` a server confirms writes before a search can find them. A job waits for that at its end,
//! for a limited time (`wait_until_indexed`).

mod aggregate_wire;
mod browse;
mod client;
mod collection;
mod config;
mod error;
mod exact;
mod facets;
mod filter;
mod limit;
mod queue;
mod range_terms;
mod record;
mod refusal;
mod schema;
mod search;
mod wire;
mod write;

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tonic::{Code, Status};

use self::aggregate_wire::AggregateRequest;
use self::client::{Rpc, rest_client};
use self::collection::StoredCollection;
pub use self::config::WeaviateSettings;
use self::error::{describe, failed, failure_kind, from_status};
use self::schema::FoundClass;
use self::wire::Filters;
use super::shared::{none_if_dropped, paged_ids};
use super::size_limit::SizeLimit;
use super::{EnsureOutcome, ImageIndex, IndexError, Quantization};
use crate::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, FacetQuery, Facets, FailureKind, Hit,
    ImageId, ImageRecord, InvalidSetting, SearchQuery, Space, StoredImage,
};
use crate::http::RestClient;

/// The name in `provider=`.
const NAME: &str = "weaviate";
/// The values of `ef` that the self-test tries. The default of the server is the limit of a search times 8, from 100 to 500.
const LEVELS: [u32; 5] = [256, 512, 1_024, 2_048, 4_096];
/// The status that a healthy gRPC server reports to a health check.
const SERVING: i32 = 1;

/// A store in a Weaviate server.
#[derive(Debug)]
pub struct WeaviateIndex {
    rest: RestClient,
    rpc: Rpc,
    limits: Limits,
    quantization: Quantization,
}

/// Limits of the server that it has shown by refusing a request.
#[derive(Debug, Default)]
struct Limits {
    /// The objects of one reply.
    results: SizeLimit,
    /// The bytes of one write.
    bytes: SizeLimit,
    /// The ids of one request.
    ids: SizeLimit,
}

impl WeaviateIndex {
    /// Creates a store that connects at the first call.
    ///
    /// # Errors
    /// Returns [`InvalidSetting`] if the key cannot be used. The message names the variable.
    #[expect(clippy::needless_pass_by_value, reason = "every store takes its settings by value")]
    pub fn new(settings: WeaviateSettings) -> Result<Self, InvalidSetting> {
        let key = settings.bearer()?;
        let rpc = Rpc::new(&settings.grpc(), key.as_ref(), settings.timeout)?;
        let rest = rest_client(settings.url.url(), key, settings.timeout)?;
        Ok(Self { rest, rpc, limits: Limits::default(), quantization: settings.quantization })
    }

    /// Returns the error for a failed call about `collection`.
    async fn call_failed(&self, status: &Status, collection: &CollectionName) -> IndexError {
        let error = from_status(status, collection);
        if status.code() == Code::Unknown { self.unless_dropped(error, collection).await } else { error }
    }

    /// Replaces an unspecific error if the class of `collection` is missing now. A request that is running while the class is
    /// removed can fail in any layer of the server, with a message of that layer; the schema changes first.
    async fn unless_dropped(&self, error: IndexError, collection: &CollectionName) -> IndexError {
        let unspecific = matches!(&error, IndexError::Dependency(down) if down.failure == FailureKind::Failed);
        if unspecific && matches!(schema::find(&self.rest, collection).await, Ok(FoundClass::Missing)) {
            return IndexError::UnknownCollection(collection.clone());
        }
        error
    }

    async fn info(&self, stored: StoredCollection) -> Result<CollectionInfo, IndexError> {
        let StoredCollection { collection: name, space } = stored;
        let count = self.count(&name, None).await?;
        Ok(CollectionInfo { name, space, count })
    }

    /// Counts the objects that match the filters.
    async fn count(&self, name: &CollectionName, filters: Option<Filters>) -> Result<u64, IndexError> {
        let collection = name.weaviate_class();
        let request = AggregateRequest { collection, objects_count: true, filters, ..AggregateRequest::default() };
        let reply = match self.rpc.aggregate(request).await {
            Ok(reply) => reply,
            Err(status) => return Err(self.call_failed(&status, name).await),
        };
        let count = reply.single_result.and_then(|single| u64::try_from(single.objects_count?).ok());
        count.ok_or_else(|| failed(FailureKind::Failed, "the server returned no object count"))
    }
}

#[async_trait]
impl ImageIndex for WeaviateIndex {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ensure_image_collection(
        &self,
        collection: &CollectionName,
        space: &Space,
    ) -> Result<EnsureOutcome, IndexError> {
        schema::ensure(&self.rest, collection, space, self.quantization).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        match schema::find(&self.rest, collection).await? {
            FoundClass::Missing | FoundClass::NameConflict(_) => Ok(None),
            FoundClass::Own(stored, _) => none_if_dropped(self.info(stored).await),
            FoundClass::Unusable(reason) => Err(failed(FailureKind::Refused, reason)),
        }
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        let mut all = Vec::new();
        for stored in schema::own_collections(&self.rest).await? {
            all.extend(none_if_dropped(self.info(stored).await)?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
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
        schema::find(&self.rest, collection).await?.require_own(collection)?;
        browse::get(self, collection, ids).await
    }

    async fn browse(&self, collection: &CollectionName, query: &BrowseQuery) -> Result<BrowsePage, IndexError> {
        search::check_ranges(self, collection, &query.filter).await?;
        browse::browse(self, collection, query).await
    }

    async fn facets(&self, collection: &CollectionName, query: &FacetQuery) -> Result<Facets, IndexError> {
        search::check_ranges(self, collection, &query.filter).await?;
        facets::facets(self, collection, query).await
    }

    async fn summary(&self, collection: &CollectionName) -> Result<CollectionSummary, IndexError> {
        facets::summary(self, collection).await
    }

    /// Reads in pages: an id that is written during the scan may be included or not.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        let collection = collection.clone();
        paged_ids(move |after| {
            let collection = collection.clone();
            async move { search::ids(self, &collection, after).await }
        })
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        schema::remove(&self.rest, collection).await
    }

    async fn wait_until_indexed(
        &self,
        collection: &CollectionName,
        within: Duration,
    ) -> Result<Option<u64>, IndexError> {
        queue::wait_until_empty(&self.rest, collection, within).await
    }

    fn levels(&self) -> &'static [u32] {
        &LEVELS
    }

    async fn set_level(&self, collection: &CollectionName, level: Option<u32>) -> Result<(), IndexError> {
        schema::set_ef(&self.rest, collection, level).await
    }

    async fn is_settled(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        Ok(queue::wait_until_empty(&self.rest, collection, Duration::ZERO).await?.is_none())
    }

    /// The server has aliases from version 1.32 on.
    async fn set_alias(&self, alias_of: &CollectionName, physical: &CollectionName) -> Result<(), IndexError> {
        schema::set_alias(&self.rest, alias_of, physical).await
    }

    async fn ready(&self) -> Result<(), IndexError> {
        let (rest, rpc) = futures::join!(schema::ready(&self.rest), self.rpc.health());
        rest?;
        let health = rpc.map_err(|status| {
            failed(failure_kind(&status), format!("the gRPC service of Weaviate: {}", describe(&status)))
        })?;
        if health.status == SERVING {
            return Ok(());
        }
        Err(failed(FailureKind::Failed, "the gRPC service of Weaviate reports that it is not serving"))
    }
}
