//! The store inside the process: exact search over a memory-mapped file of vectors, ids and payloads in
//! SQLite. An honest default up to some hundred thousand images; why it is built so, and what a crash can
//! cost: `zarf/adr/0002-embedded-index.md`.
//!
//! ```text
//! FOLDER/lock            held by the one process that has the folder open
//! FOLDER/index.sqlite    collections, records, payloads, terms
//! FOLDER/7.vectors       the vectors of collection number 7, a row a slot
//! ```

mod collection;
mod error;
mod filter;
mod folder;
mod room;
mod rows;
mod scan;
mod slots;
mod snapshot;
#[cfg(test)]
mod tests;
mod vectors;
mod version;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use self::collection::Collection;
pub use self::error::OpenError;
use self::error::{Fault, failed};
use self::folder::Folder;
use self::rows::Row;
use super::{Ensured, ImageIndex, IndexError};
use crate::domain::{CollectionInfo, CollectionName, Hit, ImageId, ImageRecord, SearchQuery, Space};

/// The word of `provider=`.
const NAME: &str = "embedded";
/// Ids that `scan` reads at a time.
const PAGE: u32 = 1_000;

/// The embedded store. Clones share it.
#[derive(Clone, Debug)]
pub struct EmbeddedIndex {
    folder: Arc<Folder>,
    /// What gives the space of dropped collections back.
    making_room: Arc<Mutex<Option<AbortOnDropHandle<()>>>>,
}

impl EmbeddedIndex {
    /// Opens the index in `folder`, or makes one. Reads every vector once, to find those that a loss of
    /// power took. Blocks.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it open, or its files cannot be used.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let index = Self { folder: Arc::new(Folder::open(folder)?), making_room: Arc::default() };
        // Of a collection whose drop was cut short.
        if index.folder.lacks_room()
            && let Ok(runtime) = Handle::try_current()
        {
            index.go_on(AbortOnDropHandle::new(runtime.spawn(make_room(Arc::downgrade(&index.folder)))));
        }
        Ok(index)
    }

    /// Holds the task that makes room. One that was at it before is not needed any more.
    fn go_on(&self, task: AbortOnDropHandle<()>) {
        *self.making_room.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// The records that a loss of power took since the last opening, which removed them: whoever believes
    /// this store to hold them must forget that. Empty after anything less than a loss of power.
    pub fn lost(&self) -> &[(CollectionName, ImageId)] {
        &self.folder.lost
    }

    /// Runs `work` on a thread that may wait for the disk, with the open collection.
    async fn read<T: Send + 'static>(
        &self,
        name: &CollectionName,
        work: impl FnOnce(&Collection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, IndexError> {
        let collection = self.folder.find(name).map_err(|fault| fault.about(name))?;
        // The work has its share of the folder, so that the lock outlives it even where the caller is gone.
        let folder = Arc::clone(&self.folder);
        let done = tokio::task::spawn_blocking(move || (work(&collection), folder).0).await;
        done.map_err(|panic| failed(&panic))?.map_err(|fault| fault.about(name))
    }

    /// Runs `work` on the writer's thread, to its end even if nobody waits for it.
    async fn write<T: Send + 'static>(
        &self,
        name: &CollectionName,
        work: impl FnOnce(&Folder, &mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, IndexError> {
        let folder = Arc::clone(&self.folder);
        let done = self.folder.sqlite.call(move |connection| Ok(work(&folder, connection))).await;
        done.map_err(|error| failed(&error))?.map_err(|fault| fault.about(name))
    }
}

/// Removes what dropped collections left, step by step: other writes come in between. Ends with the index; the next
/// opening goes on with it.
async fn make_room(folder: Weak<Folder>) {
    while let Some(folder) = folder.upgrade() {
        let sqlite = folder.sqlite.clone();
        match sqlite.call(move |connection| Ok(folder.make_room(connection))).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return,
            Ok(Err(error)) => {
                return tracing::warn!(%error, "the space of a dropped collection is given back at the next start");
            }
            Err(error) => {
                return tracing::warn!(%error, "the space of a dropped collection is given back at the next start");
            }
        }
    }
}

#[async_trait]
impl ImageIndex for EmbeddedIndex {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ensure_image_collection(&self, collection: &CollectionName, space: &Space) -> Result<Ensured, IndexError> {
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
        // The last of an id is what counts.
        let place: HashMap<ImageId, usize> = records.iter().map(|record| record.id).zip(0..).collect();
        let last = records.iter().enumerate().filter(|(at, record)| place.get(&record.id) == Some(at));
        let rows: Result<Vec<Row>, Fault> = last.map(|(_, record)| Row::of(record)).collect();
        let (name, rows) = (collection.clone(), rows.map_err(|fault| fault.about(collection))?);
        self.write(collection, move |folder, connection| {
            folder.find(&name)?.upsert(connection, &rows)?;
            folder.wrote(connection, rows.len());
            Ok(())
        })
        .await
    }

    async fn delete(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<(), IndexError> {
        let (name, ids) = (collection.clone(), ids.to_vec());
        self.write(collection, move |folder, connection| {
            folder.find(&name)?.delete(connection, &ids)?;
            folder.wrote(connection, ids.len());
            Ok(())
        })
        .await
    }

    async fn search(&self, collection: &CollectionName, query: &SearchQuery) -> Result<Vec<Hit>, IndexError> {
        let query = query.clone();
        self.read(collection, move |collection| collection.search(&query)).await
    }

    async fn get(&self, collection: &CollectionName, ids: &[ImageId]) -> Result<Vec<ImageRecord>, IndexError> {
        let ids = ids.to_vec();
        self.read(collection, move |collection| collection.get(&ids)).await
    }

    /// In pages: an id that is written meanwhile may or may not be among them.
    fn scan(&self, collection: &CollectionName) -> BoxStream<'_, Result<ImageId, IndexError>> {
        let name = collection.clone();
        let pages = stream::try_unfold((name, None, false), move |(name, after, ended)| async move {
            if ended {
                return Ok::<_, IndexError>(None);
            }
            let page = self.read(&name, move |collection| collection.ids(after, PAGE)).await?;
            let state = (name, page.last().copied(), page.len() < PAGE as usize);
            Ok(Some((stream::iter(page.into_iter().map(Ok)), state)))
        });
        pages.try_flatten().boxed()
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<(), IndexError> {
        let name = collection.clone();
        self.write(collection, move |folder, connection| folder.drop_collection(connection, &name)).await?;
        // It is dropped; that its space is given back is waited for only for a moment.
        let rest = Handle::current().spawn(make_room(Arc::downgrade(&self.folder)));
        let mut rest = AbortOnDropHandle::new(rest);
        if tokio::time::timeout(room::AT_ONCE, &mut rest).await.is_err() {
            self.go_on(rest);
        }
        Ok(())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        let asked = self.folder.sqlite.call(|connection| connection.query_row("SELECT 1", (), |_| Ok(()))).await;
        asked.map_err(|error| failed(&error))
    }
}
