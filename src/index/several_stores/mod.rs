//! The configured stores, by name. They are written and searched in parallel.

mod browse;
mod generations;
mod get;
mod levels;
mod merge;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, Stream};

use super::{ImageIndex, IndexError, StoreKind};
use crate::domain::{CollectionInfo, CollectionName, ImageId, ImageRecord, StoreSet};
use crate::resilience::measured;
use crate::telemetry::traces;

pub use generations::{Generations, Resolved};
pub use levels::Levels;
pub use merge::{Merged, MergedHit, StoreResults, StoreStatuses};

/// Every name that `provider=` accepts, including stores that are not configured.
pub const STORE_NAMES: [&str; StoreKind::ALL.len() + 1] = {
    let mut names = [ALL_STORES; StoreKind::ALL.len() + 1];
    let mut index = 0;
    while index < StoreKind::ALL.len() {
        names[index] = StoreKind::ALL[index].name();
        index += 1;
    }
    names
};

/// The name for all stores, in `provider=`, `VECTOR_DB_PROVIDER` and replies.
pub const ALL_STORES: &str = "all";

/// A shared store.
pub(super) type Store = Arc<dyn ImageIndex>;

/// A list of stores, the default first. It is not an [`ImageIndex`] itself: its results name the store they are from.
#[derive(Clone)]
pub struct Stores {
    list: Vec<Store>,
    levels: Levels,
    generations: Generations,
}

/// The result of writing a batch of records to one store.
#[derive(Debug)]
pub struct Written {
    /// The name of the store.
    pub store: &'static str,
    /// The records that it refused, each with the reason; it has stored all others.
    pub outcome: Result<Vec<(ImageId, String)>, IndexError>,
    /// How long it worked, without the time spent waiting for it.
    pub worked: Duration,
}

impl Stores {
    /// Creates the list from at least one store, the default first.
    ///
    /// # Panics
    /// Panics if `stores` is empty.
    pub fn new(stores: Vec<Arc<dyn ImageIndex>>) -> Self {
        assert!(!stores.is_empty(), "a service without a store can neither index nor search");
        Self { list: stores, levels: Levels::default(), generations: Generations::default() }
    }

    /// Shares the generations of collections with another list of the same stores.
    #[must_use]
    pub fn with_generations(self, generations: Generations) -> Self {
        Self { generations, ..self }
    }

    /// Returns the generations of collections. All clones of the list share them.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Returns the store that is used if a request names none.
    pub fn default_store(&self) -> &Arc<dyn ImageIndex> {
        &self.list[0]
    }

    /// Returns the store with that name, if it is configured.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn ImageIndex>> {
        self.list.iter().find(|store| store.name() == name)
    }

    /// Returns a list of this store alone.
    #[must_use]
    fn only(&self, store: &Arc<dyn ImageIndex>) -> Self {
        Self { list: vec![store.clone()], levels: self.levels.clone(), generations: self.generations.clone() }
    }

    /// Returns the effort of searches in each store and collection. All clones of the list share it.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Iterates over the stores.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn ImageIndex>> {
        self.list.iter()
    }

    /// Returns their names, comma-separated, the default first.
    pub fn names(&self) -> String {
        self.list.iter().map(|store| store.name()).collect::<Vec<_>>().join(", ")
    }

    /// Returns the name of the store if there is only one, or `all`.
    pub fn name(&self) -> &'static str {
        match self.list.as_slice() {
            [one] => one.name(),
            _ => ALL_STORES,
        }
    }

    /// Returns their names as a set.
    pub fn name_set(&self) -> StoreSet {
        self.list.iter().map(|store| store.name()).collect()
    }

    /// Describes a collection in each store that has it and replies within `within`.
    pub async fn describe_all(&self, collection: &CollectionName, within: Duration) -> Vec<CollectionInfo> {
        let requests = self.list.iter().map(|store| tokio::time::timeout(within, store.describe(collection)));
        let replies = join_all(requests).await;
        replies.into_iter().filter_map(|reply| reply.ok()?.ok()?).collect()
    }

    /// Writes records to every store except those in `stored_in`, in parallel. The stream returns the result of each
    /// store as soon as it is complete. If a store refuses a record, the others are still written.
    pub fn upsert<'a>(
        &'a self,
        collection: &'a CollectionName,
        records: &'a [ImageRecord],
        stored_in: &StoreSet,
    ) -> impl Stream<Item = Written> + Unpin + Send + 'a {
        let targets = self.list.iter().filter(|store| !stored_in.contains(store.name()));
        targets
            .map(|store| async move {
                let write = upsert_accepted(store.as_ref(), collection, records);
                let (outcome, worked) = measured(traced(store.name(), "upsert", collection, write)).await;
                Written { store: store.name(), outcome, worked }
            })
            .collect::<FuturesUnordered<_>>()
    }
}

/// Calls a store inside of a span, whose names are those of OpenTelemetry's conventions for databases.
async fn traced<T>(
    store: &'static str,
    operation: &'static str,
    collection: &CollectionName,
    call: impl Future<Output = Result<T, IndexError>>,
) -> Result<T, IndexError> {
    let span = traces::client(|| format!("{operation} {collection}"));
    if span.is_recorded() {
        span.set("db.system.name", store);
        span.set("db.operation.name", operation);
        span.set("db.collection.name", collection.as_str().to_owned());
    }
    let result = span.within(call).await;
    if result.is_err() {
        span.fail("_OTHER");
    }
    result
}

/// Writes the records that a store accepts: a refused record is taken out of the batch, and the rest is written.
async fn upsert_accepted(
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
                let remaining = rest.get_or_insert_with(|| records.to_vec());
                let before = remaining.len();
                remaining.retain(|record| record.id != id);
                if remaining.len() == before {
                    // The store refuses a record that is not in the batch: retrying would never end.
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
