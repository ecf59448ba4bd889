//! The port [`ImageIndex`] (a vector store) and its adapters. This module does not depend on buckets, models, jobs or
//! HTTP replies.

pub mod embedded;
mod near_pairs;
pub mod qdrant;
pub mod remote;
mod resilient;
mod settings;
pub mod several_stores;
mod shared;
mod size_limit;
pub mod weaviate;

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, DependencyError, FacetQuery, Facets,
    FailureKind, Hit, ImageId, ImageRecord, SearchQuery, Space, SpaceMismatch, StoredImage,
};
use crate::http::HttpError;
use crate::resilience::Retryable;

pub use near_pairs::NearPairs;
pub use resilient::Resilient;
pub use settings::{IndexSettings, Quantization, StoreKind, StoreKinds};
pub use several_stores::Stores;

/// The result of [`ImageIndex::ensure_image_collection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnsureOutcome {
    /// The call created the collection. Callers must discard what they had recorded about its content.
    Created,
    /// The collection existed, with the same space.
    Existed,
}

/// A vector store. One contract test suite runs against every implementation.
#[async_trait]
pub trait ImageIndex: Send + Sync + 'static {
    /// Returns `embedded`, `qdrant` or `weaviate`: the value in `provider=` and in replies.
    fn name(&self) -> &'static str;

    /// Creates the collection with this space, or checks that the existing one has the same space.
    async fn ensure_image_collection(
        &self,
        collection: &CollectionName,
        space: &Space,
    ) -> Result<EnsureOutcome, IndexError>;

    /// Returns the space and the number of records of a collection, or `None` if it does not exist.
    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError>;

    /// Returns every collection, sorted by name.
    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError>;

    /// Writes records and replaces those with the same id. When it returns, a search can find them.
    async fn upsert(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError>;

    /// Removes records. An id that does not exist is not an error.
    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError>;

    /// Returns the nearest records by cosine, best first; equal scores are sorted by id.
    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError>;

    /// Returns the records with these ids that exist, in any order.
    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError>;

    /// Returns the records with these ids that exist, in any order, without vectors.
    async fn payloads(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<StoredImage>, IndexError> {
        Ok(self.get(collection, ids).await?.into_iter().map(StoredImage::from).collect())
    }

    /// Returns a page of the records that match the filter, without vectors.
    async fn browse(&self, collection: &CollectionName, query: &BrowseQuery) -> Result<BrowsePage, IndexError>;

    /// Counts the records with each value of a field, among those that match the filter. Records that are written at the
    /// same time may be counted or not.
    async fn facets(&self, collection: &CollectionName, query: &FacetQuery) -> Result<Facets, IndexError>;

    /// Returns what the records of a collection have together.
    async fn summary(&self, collection: &CollectionName) -> Result<CollectionSummary, IndexError>;

    /// Returns every id in ascending order.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>>;

    /// Returns pairs of records with similar vectors, in any order. The pair of two records can occur twice, also in the
    /// other order. Costs one search per record, unless the store has a faster way.
    fn near_pairs<'a>(
        &'a self,
        collection: &'a CollectionName,
        options: NearPairs,
    ) -> BoxStream<'a, Result<(ImageId, ImageId), IndexError>> {
        near_pairs::by_search(self, collection, options)
    }

    /// Removes a collection and its content.
    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError>;

    /// Waits until a search finds everything that was written, but not longer than `within`. Returns the number of
    /// records that a search may still miss; `None` if it misses none, as in every store that indexes while it writes.
    async fn wait_until_indexed(
        &self,
        collection: &CollectionName,
        within: Duration,
    ) -> Result<Option<u64>, IndexError> {
        let _ = (collection, within);
        Ok(None)
    }

    /// Returns the values of [`SearchEffort::Level`](crate::domain::SearchEffort) that the store can use, ascending. A store
    /// without any has only one way to search.
    fn levels(&self) -> &'static [u32] {
        &[]
    }

    /// Makes `level` (or the default of the store) the effort of every search in a collection. Only for a store that keeps
    /// the effort with the collection and does not read it from queries.
    async fn set_level(&self, collection: &CollectionName, level: Option<u32>) -> Result<(), IndexError> {
        let _ = (collection, level);
        Ok(())
    }

    /// Called after the last write of a job. A store that works differently while a collection is filled changes back.
    async fn finish_load(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let _ = collection;
        Ok(())
    }

    /// Returns whether the store has finished its work in the background. Before that, recall and time of a search are not
    /// those of later searches.
    async fn is_settled(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        let _ = collection;
        Ok(true)
    }

    /// Lets readers beside this service find the current generation `physical` of the collection `alias_of` under a name that
    /// stays the same: `documents_images_current` in Qdrant, `DocumentsImagesCurrent` in Weaviate. Replaces the alias of
    /// before. This service does not read by it. A store inside this process has no other readers: it only checks that the
    /// collection exists.
    async fn set_alias(&self, alias_of: &CollectionName, physical: &CollectionName) -> Result<(), IndexError> {
        let _ = alias_of;
        let found = self.describe(physical).await?;
        found.map(drop).ok_or_else(|| IndexError::UnknownCollection(physical.clone()))
    }

    /// Fails if the store cannot serve requests.
    async fn ready(&self) -> Result<(), IndexError>;
}

/// A failed call of a store.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum IndexError {
    /// The collection does not exist.
    #[error("there is no collection `{0}`")]
    UnknownCollection(CollectionName),
    /// The collection has no generation with this number.
    #[error("the collection `{collection}` has no generation {number}")]
    NoGeneration {
        /// The collection.
        collection: CollectionName,
        /// The number.
        number: u32,
    },
    /// The name is that of a generation in the stores, and not the name of a collection.
    #[error(
        "`{name}` is generation {number} of the collection `{collection}`: use that name, with `generation={number}` for this one"
    )]
    NameOfGeneration {
        /// The name.
        name: CollectionName,
        /// The collection.
        collection: CollectionName,
        /// The number of the generation.
        number: u32,
    },
    /// The vectors of the collection have a different space.
    #[error(transparent)]
    Space(#[from] SpaceMismatch),
    /// Another collection already uses the name that this one would get in a store.
    #[error("the collections `{wanted}` and `{existing}` would have the same name in a store; choose another name")]
    NameTaken {
        /// The new collection.
        wanted: CollectionName,
        /// The existing collection.
        existing: CollectionName,
    },
    /// The filter has a range of numbers or dates, and records of an earlier version have none.
    #[error(
        "the collection `{0}` has records of an earlier version, whose numbers and dates cannot be searched; run \
         `glimpse ingest --refresh facts` once"
    )]
    OutdatedRecords(CollectionName),
    /// The store cannot compare every vector with a query.
    #[error("{store} cannot search exactly: {reason}")]
    NoExactSearch {
        /// The name of the store.
        store: &'static str,
        /// Why not, and what to change.
        reason: String,
    },
    /// The store refuses this record; it may accept others.
    #[error("the store refused the record {id}: {reason}")]
    Rejected {
        /// The id of the record.
        id: ImageId,
        /// The reason for the refusal.
        reason: String,
    },
    /// The store itself failed.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
}

impl From<HttpError> for IndexError {
    fn from(failure: HttpError) -> Self {
        failure.error.into()
    }
}

impl Retryable for IndexError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::UnknownCollection(_)
            | Self::NoGeneration { .. }
            | Self::NameOfGeneration { .. }
            | Self::Space(_)
            | Self::NameTaken { .. }
            | Self::OutdatedRecords(_)
            | Self::NoExactSearch { .. }
            | Self::Rejected { .. } => false,
            Self::Dependency(down) => down.failure.is_temporary(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.dependency().and_then(|down| down.failure.retry_after())
    }

    fn is_full(&self) -> bool {
        self.dependency().is_some_and(|down| down.failure == FailureKind::Full)
    }

    /// A store that is busy or refuses a request is still reachable.
    fn is_failure(&self) -> bool {
        self.dependency().is_some_and(|down| down.failure.is_down())
    }
}

impl IndexError {
    /// Returns the error for a failure of the store itself; `detail` is for the log.
    fn store_failed(store: &str, failure: FailureKind, detail: impl Into<String>) -> Self {
        Self::Dependency(DependencyError { dependency: store.to_owned(), failure, detail: detail.into() })
    }

    fn dependency(&self) -> Option<&DependencyError> {
        match self {
            Self::Dependency(down) => Some(down),
            Self::UnknownCollection(_)
            | Self::NoGeneration { .. }
            | Self::NameOfGeneration { .. }
            | Self::Space(_)
            | Self::NameTaken { .. }
            | Self::OutdatedRecords(_)
            | Self::NoExactSearch { .. }
            | Self::Rejected { .. } => None,
        }
    }
}

#[cfg(test)]
mod error_tests {
    use super::*;

    #[test]
    fn a_busy_store_is_retried_after_its_delay_and_is_not_down() {
        let error =
            |failure| IndexError::from(DependencyError { dependency: "q".into(), failure, detail: String::new() });
        let wait = Duration::from_secs(7);
        let busy = error(FailureKind::Busy { retry_after: wait });
        assert!(busy.is_retryable() && !busy.is_failure() && busy.retry_after() == Some(wait));
        assert!(error(FailureKind::Failed).is_failure() && error(FailureKind::TimedOut).is_failure());
        let full = error(FailureKind::Full);
        assert!(full.is_retryable() && !full.is_failure() && full.is_full() && full.retry_after().is_some());
        let refused = error(FailureKind::Refused);
        assert!(!refused.is_retryable() && !refused.is_failure());
        let unknown = IndexError::UnknownCollection(CollectionName::parse("c").unwrap());
        assert!(!unknown.is_retryable() && !unknown.is_failure() && unknown.retry_after().is_none());
    }
}
