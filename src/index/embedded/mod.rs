//! The store inside the process: vectors in a memory-mapped file; ids and payloads in SQLite; and, for large collections, an
//! approximate index. `zarf/adr/0002-embedded-index.md` and `0022-lists-of-codes.md` have the reasons for the design and
//! say what a crash can lose.
//!
//! ```text
//! FOLDER/lock            locked by the process that has the folder open
//! FOLDER/index.sqlite    collections, slots, payloads, terms
//! FOLDER/7.vectors       the vectors of collection number 7, one row for each slot
//! FOLDER/7.lists         the codes of its approximate index; `7.centroids` has the centroids
//! ```

mod browse;
mod collection;
mod compact;
mod error;
mod facets;
mod filters;
mod fingerprint;
mod folder;
mod ids;
mod indexes;
mod lists;
mod maintenance;
mod near_pairs;
mod pin;
mod products;
mod reclaim;
mod rows;
mod scrub;
mod search;
mod slots;
mod snapshot;
#[cfg(test)]
mod tests;
mod threads;
mod upgrade;
mod vectors;
mod version;
mod warm;
mod write;

use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use self::collection::Collection;
pub use self::error::OpenError;
use self::error::{Fault, failed};
use self::folder::Folder;
use self::maintenance::maintain;
use self::near_pairs::PairSearch;
use self::rows::Row;
use super::shared::{last_of_each_id, paged_ids};
use super::{EnsureOutcome, ImageIndex, IndexError, NearPairs};
use crate::domain::{
    BrowsePage, BrowseQuery, CollectionInfo, CollectionName, CollectionSummary, FacetQuery, Facets, Hit, ImageId,
    ImageRecord, SearchQuery, Space, StoredImage,
};
use crate::resilience::{Concurrently as _, cores};

/// The name in `provider=`.
const NAME: &str = "embedded";
/// Levels of effort above the default one.
const LEVELS: [u32; 5] = [525, 550, 600, 700, 1_000];
/// Ids in one page of `scan`.
const IDS_PER_PAGE: u32 = 1_000;

/// The embedded store. Clones share its state.
#[derive(Clone, Debug)]
pub struct EmbeddedIndex {
    folder: Arc<Folder>,
    /// The task that does the maintenance; see `maintenance.rs`.
    maintenance: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
    /// The task that syncs the last writes.
    last_sync: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
    /// The task that reads what the start did not; see `warm.rs` and `scrub.rs`.
    _reads: Option<Arc<AbortOnDropHandle<()>>>,
}

impl EmbeddedIndex {
    /// Opens the index in `folder`, or creates one. Finds the vectors that a power loss destroyed: in collections with an
    /// approximate index it reads those that were written since the last sync, otherwise all. The rest is checked in the
    /// background. Blocks the thread.
    ///
    /// # Errors
    /// Returns an [`OpenError`] if another process has the index open or its files cannot be used.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let folder = Arc::new(Folder::open(folder)?);
        let reads = Handle::try_current().ok().map(|runtime| runtime.spawn(read_ahead(Arc::downgrade(&folder))));
        let reads = reads.map(|task| Arc::new(AbortOnDropHandle::new(task)));
        let index = Self { folder, maintenance: Arc::default(), last_sync: Arc::default(), _reads: reads };
        if index.folder.needs_maintenance() {
            index.start_maintenance();
        }
        if index.folder.needs_sync() {
            index.schedule_sync();
        }
        Ok(index)
    }

    /// Returns the records that a power loss destroyed and that [`Self::open`] removed. Callers must discard what they
    /// had recorded about them. Empty unless there was a power loss.
    pub fn lost_records(&self) -> &[(CollectionName, ImageId)] {
        &self.folder.lost
    }

    /// Runs `work` with the open collection, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        name: &CollectionName,
        work: impl FnOnce(&Collection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, IndexError> {
        let collection = self.folder.find(name).map_err(|fault| fault.into_index_error(name))?;
        // `work` holds a reference to the folder, so that the lock is kept until it ends even if the caller is dropped.
        let folder = Arc::clone(&self.folder);
        let done = tokio::task::spawn_blocking(move || (work(&collection), folder).0).await;
        done.map_err(|panic| failed(&panic))?.map_err(|fault| fault.into_index_error(name))
    }

    /// Runs `work` on the writer thread, to its end even if the caller is dropped.
    async fn write<T: Send + 'static>(
        &self,
        name: &CollectionName,
        work: impl FnOnce(&Folder, &mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, IndexError> {
        let folder = Arc::clone(&self.folder);
        let done = self.folder.sqlite.call(move |connection| Ok(work(&folder, connection))).await;
        done.map_err(|error| failed(&error))?.map_err(|fault| fault.into_index_error(name))
    }
}

async fn read_ahead(folder: Weak<Folder>) {
    warm::warm(Weak::clone(&folder)).await;
    scrub::scrub(folder).await;
}

#[async_trait]
impl ImageIndex for EmbeddedIndex {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ensure_image_collection(
        &self,
        collection: &CollectionName,
        space: &Space,
    ) -> Result<EnsureOutcome, IndexError> {
        let (name, space) = (collection.clone(), space.clone());
        self.write(collection, move |folder, connection| folder.ensure(connection, name, space)).await
    }

    async fn describe(&self, collection: &CollectionName) -> Result<Option<CollectionInfo>, IndexError> {
        Ok(self.folder.find(collection).ok().and_then(|found| found.info()))
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, IndexError> {
        Ok(self.folder.all().iter().filter_map(|collection| collection.info()).collect())
    }

    async fn upsert(&self, collection: &CollectionName, records: &[ImageRecord]) -> Result<(), IndexError> {
        let rows: Result<Vec<Row>, Fault> = last_of_each_id(records).map(Row::new).collect();
        let mut rows = rows.map_err(|fault| fault.into_index_error(collection))?;
        let encoded = self.read(collection, move |collection| collection.encode(&mut rows).map(|()| rows));
        let (name, rows) = (collection.clone(), encoded.await?);
        self.change(collection, move |folder, connection| {
            let count = rows.len();
            folder.find(&name)?.upsert(connection, rows)?;
            folder.record_writes(connection, count);
            Ok(())
        })
        .await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        let (name, ids) = (collection.clone(), ids.to_vec());
        self.change(collection, move |folder, connection| {
            folder.find(&name)?.delete(connection, &ids)?;
            folder.record_writes(connection, ids.len());
            Ok(())
        })
        .await
    }

    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        let query = query.clone();
        let folder = Arc::clone(&self.folder);
        self.read(collection, move |collection| collection.search(&query, &folder.threads)).await
    }

    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        let ids = ids.to_vec();
        self.read(collection, move |collection| collection.get(&ids)).await
    }

    async fn payloads(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<StoredImage>, IndexError> {
        let ids = ids.to_vec();
        self.read(collection, move |collection| collection.payloads(&ids)).await
    }

    async fn browse(&self, collection: &CollectionName, query: &BrowseQuery) -> Result<BrowsePage, IndexError> {
        let query = query.clone();
        self.read(collection, move |collection| collection.browse(&query)).await
    }

    async fn facets(&self, collection: &CollectionName, query: &FacetQuery) -> Result<Facets, IndexError> {
        let query = query.clone();
        self.read(collection, move |collection| collection.facets(&query)).await
    }

    async fn summary(&self, collection: &CollectionName) -> Result<CollectionSummary, IndexError> {
        self.read(collection, Collection::summary).await
    }

    /// Reads in pages: an id that is written during the scan may be included or not.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        let name = collection.clone();
        paged_ids(move |after| {
            let name = name.clone();
            async move {
                let ids = self.read(&name, move |collection| collection.ids(after, IDS_PER_PAGE)).await?;
                let last = ids.last().filter(|_| ids.len() == IDS_PER_PAGE as usize).copied();
                Ok((ids, last))
            }
        })
    }

    /// Compares every vector with every later one, on every core.
    fn near_pairs<'a>(
        &'a self,
        collection: &'a CollectionName,
        options: NearPairs,
    ) -> BoxStream<'a, Result<(ImageId, ImageId), IndexError>> {
        let blocks = async move {
            let search =
                self.read(collection, |collection| Ok(PairSearch::new(collection.version()?, options))).await?;
            let (search, folder) = (Arc::new(search), Arc::clone(&self.folder));
            let blocks = stream::iter(0..search.blocks()).concurrently(cores(), move |block| {
                // The folder stays locked until the thread ends, as in `read`.
                let (search, folder) = (Arc::clone(&search), Arc::clone(&folder));
                async move {
                    let pairs = tokio::task::spawn_blocking(move || (search.pairs(block), folder).0).await;
                    pairs.map(|pairs| stream::iter(pairs.into_iter().map(Ok))).map_err(|panic| failed(&panic))
                }
            });
            Ok::<_, IndexError>(blocks.try_flatten())
        };
        stream::once(blocks).try_flatten().boxed()
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let name = collection.clone();
        self.write(collection, move |folder, connection| folder.drop_collection(connection, &name)).await?;
        // The collection is dropped. Reclaiming its space continues in the background if it takes longer.
        let task = Handle::current().spawn(maintain(Arc::downgrade(&self.folder)));
        let mut task = AbortOnDropHandle::new(task);
        if tokio::time::timeout(reclaim::RECLAIM_WAIT, &mut task).await.is_err() {
            self.keep_task(task);
        }
        Ok(())
    }

    fn levels(&self) -> &'static [u32] {
        &LEVELS
    }

    /// An approximate index is built in the background.
    async fn is_settled(&self, collection: &CollectionName) -> Result<bool, IndexError> {
        let found = self.folder.find(collection).map_err(|fault| fault.into_index_error(collection))?;
        Ok(!found.needs_lists())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        let reply = self.folder.sqlite.call(|connection| connection.query_row("SELECT 1", (), |_| Ok(()))).await;
        reply.map_err(|error| failed(&error))
    }
}
