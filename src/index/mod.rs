//! The port [`ImageIndex`]: a store of vectors, and its adapters. Knows nothing of buckets, models, jobs or HTTP
//! replies.

pub mod embedded;
mod invalid;
mod learned;
pub mod qdrant;
pub mod remote;
mod resilient;
mod settings;
pub mod stores;
pub mod weaviate;

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::domain::{
    CollectionInfo, CollectionName, DependencyError, Hit, ImageId, ImageRecord, SearchQuery, Space, SpaceMismatch,
    Trouble,
};
use crate::resilience::Retryable;

pub use invalid::InvalidStore;
pub use resilient::Resilient;
pub use settings::{IndexSettings, StoreKind};
pub use stores::Stores;

/// Whether a collection was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It was made now: whoever believed it to hold anything must forget that.
    Created,
    /// It was there, in the same space.
    Existed,
}

/// A store behind a trait. Every store is held to the same contract suite.
#[async_trait]
pub trait ImageIndex: Send + Sync + 'static {
    /// `embedded`, `qdrant`, `weaviate`: the word of `provider=` and of replies.
    fn name(&self) -> &'static str;

    /// Makes the collection in this space, or checks that the existing one is of the same space.
    async fn ensure_image_collection(&self, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError>;

    /// Space and count of a collection; `None` if there is none.
    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError>;

    /// Every collection, by name.
    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError>;

    /// Writes records; replaces those of the same id. When it returns they can be found.
    async fn upsert(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError>;

    /// Removes records; ids that are not there are no error.
    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError>;

    /// The nearest records by cosine, best first, ties by id.
    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError>;

    /// The records of these ids that are there, in any order.
    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError>;

    /// Every id, ascending.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>>;

    /// Removes a collection and all in it.
    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError>;

    /// Waits until a search finds everything that was written, but not longer than `within`. Answers with how many records
    /// it may still miss then; `None`: none, as in every store that does not put off a part of a write.
    async fn settled(&self, collection: &CollectionName, within: Duration) -> Result<Option<u64>, IndexError> {
        let _ = (collection, within);
        Ok(None)
    }

    /// Whether the store can serve.
    async fn ready(&self) -> Result<(), IndexError>;
}

/// What goes wrong with a store.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum IndexError {
    /// No such collection.
    #[error("there is no collection `{0}`")]
    UnknownCollection(CollectionName),
    /// The collection's vectors are of another space.
    #[error(transparent)]
    Space(#[from] SpaceMismatch),
    /// Another collection has the name that this one would have in a store.
    #[error("the collections `{wanted}` and `{existing}` would have the same name in a store; choose another")]
    NameTaken {
        /// The new one.
        wanted: CollectionName,
        /// The one that is there.
        existing: CollectionName,
    },
    /// The store refuses this record; others may be fine.
    #[error("the store refused the record {id}: {reason}")]
    Rejected {
        /// Which.
        id: ImageId,
        /// Why.
        reason: String,
    },
    /// The store itself is the trouble.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
}

impl Retryable for IndexError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::UnknownCollection(_) | Self::Space(_) | Self::NameTaken { .. } | Self::Rejected { .. } => false,
            Self::Dependency(down) => down.trouble.may_pass(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.dependency().and_then(|down| down.trouble.retry_after())
    }

    fn is_full(&self) -> bool {
        self.dependency().is_some_and(|down| down.trouble == Trouble::Full)
    }

    /// A store that is busy or unwilling is there.
    fn is_failure(&self) -> bool {
        self.dependency().is_some_and(|down| down.trouble.is_down())
    }
}

impl IndexError {
    fn dependency(&self) -> Option<&DependencyError> {
        match self {
            Self::Dependency(down) => Some(down),
            Self::UnknownCollection(_) | Self::Space(_) | Self::NameTaken { .. } | Self::Rejected { .. } => None,
        }
    }
}

#[cfg(test)]
mod error_tests {
    use super::*;

    #[test]
    fn a_busy_store_is_asked_again_when_it_says_and_is_not_down() {
        let of = |trouble| IndexError::from(DependencyError { dependency: "q".into(), trouble, detail: String::new() });
        let wait = Duration::from_secs(7);
        let busy = of(Trouble::Busy { retry_after: wait });
        assert!(busy.is_retryable() && !busy.is_failure() && busy.retry_after() == Some(wait));
        assert!(of(Trouble::Failed).is_failure() && of(Trouble::TimedOut).is_failure());
        let full = of(Trouble::Full);
        assert!(full.is_retryable() && !full.is_failure() && full.is_full() && full.retry_after().is_some());
        let refused = of(Trouble::Refused);
        assert!(!refused.is_retryable() && !refused.is_failure());
        let unknown = IndexError::UnknownCollection(CollectionName::parse("c").unwrap());
        assert!(!unknown.is_retryable() && !unknown.is_failure() && unknown.retry_after().is_none());
    }
}
