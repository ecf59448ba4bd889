//! The configured stores, by name: written side by side, asked side by side.

mod any;
mod merge;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, Stream};

use super::{ImageIndex, IndexError, StoreKind};
use crate::domain::{CollectionInfo, CollectionName, ImageId, ImageRecord, StoreSet};
use crate::resilience::{WorkClock, measured};

pub use merge::{Answered, Answers, Found, Merged};

/// Names that `provider=` may hold, whether configured here or not.
pub const KNOWN: [&str; 4] = [StoreKind::Embedded.name(), StoreKind::Qdrant.name(), StoreKind::Weaviate.name(), ALL];

/// The word that means every store: of `provider=`, of `VECTOR_DB_PROVIDER` and of replies.
pub const ALL: &str = "all";

/// A store that is shared.
pub(super) type Store = Arc<dyn ImageIndex>;

/// A list of stores, the default first. No decorator: its answers say which store they are from.
#[derive(Clone)]
pub struct Stores(Vec<Store>);

/// What one store made of a batch of records.
#[derive(Debug)]
pub struct Written {
    /// Which store.
    pub store: &'static str,
    /// The records that it refused, each with its reason; all others it has.
    pub outcome: Result<Vec<(ImageId, String)>, IndexError>,
    /// How long it was at work, without what was waited for it.
    pub worked: Duration,
}

impl Stores {
    /// The stores, the default first; at least one.
    ///
    /// # Panics
    /// Without any store.
    pub fn new(stores: Vec<Arc<dyn ImageIndex>>) -> Self {
        assert!(!stores.is_empty(), "a service without a store can neither index nor search");
        Self(stores)
    }

    /// The one that is meant where none is named.
    pub fn default_store(&self) -> &Arc<dyn ImageIndex> {
        &self.0[0]
    }

    /// The store of that name, if it is configured.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn ImageIndex>> {
        self.0.iter().find(|store| store.name() == name)
    }

    /// That one alone.
    #[must_use]
    pub fn only(store: &Arc<dyn ImageIndex>) -> Self {
        Self(vec![store.clone()])
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn ImageIndex>> {
        self.0.iter()
    }

    /// Their names, by commas, the default first.
    pub fn names(&self) -> String {
        self.0.iter().map(|store| store.name()).collect::<Vec<_>>().join(", ")
    }

    /// The word that means all of these: the name of the one, or `all`.
    pub fn name(&self) -> &'static str {
        match self.0.as_slice() {
            [one] => one.name(),
            _ => ALL,
        }
    }

    /// Their names as a set.
    pub fn all(&self) -> StoreSet {
        self.0.iter().map(|store| store.name()).collect()
    }

    /// What is known of a collection by those stores that say so in time.
    pub async fn describe_all(&self, collection: &CollectionName, within: Duration) -> Vec<CollectionInfo> {
        let asked = self.0.iter().map(|store| tokio::time::timeout(within, store.describe(collection)));
        let answers = join_all(asked).await;
        answers.into_iter().filter_map(|answer| answer.ok()?.ok()?).collect()
    }

    /// Writes records to every store but those that `have` them, side by side. Each store's answer comes as soon as it is
    /// there; a record that a store refuses costs only itself. What is waited for stops `clock`.
    pub fn upsert<'a>(
        &'a self,
        collection: &'a CollectionName,
        records: &'a [ImageRecord],
        have: &StoreSet,
        clock: &'a WorkClock,
    ) -> impl Stream<Item = Written> + Unpin + Send + 'a {
        let lacking = self.0.iter().filter(|store| !have.contains(store.name()));
        lacking
            .map(|store| async move {
                let (outcome, worked) = measured(clock, upsert_but_refused(store.as_ref(), collection, records)).await;
                Written { store: store.name(), outcome, worked }
            })
            .collect::<FuturesUnordered<_>>()
    }
}

/// Writes what a store takes: a record that it refuses leaves the batch, and the rest is written.
async fn upsert_but_refused(
    store: &dyn ImageIndex,
    collection: &CollectionName,
    records: &[ImageRecord],
) -> Result<Vec<(ImageId, String)>, IndexError> {
    let mut refused = Vec::new();
    let mut rest: Option<Vec<ImageRecord>> = None;
    loop {
        match store.upsert(collection, rest.as_deref().unwrap_or(records)).await {
            Ok(()) => return Ok(refused),
            Err(IndexError::Rejected { id, reason }) => {
                let left = rest.get_or_insert_with(|| records.to_vec());
                let before = left.len();
                left.retain(|record| record.id != id);
                if left.len() == before {
                    // A store that refuses what it was not given would be asked for ever.
                    return Err(IndexError::Rejected { id, reason });
                }
                refused.push((id, reason));
            }
            Err(error) => return Err(error),
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stores({})", self.names())
    }
}
