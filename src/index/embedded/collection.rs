//! One open collection.
//!
//! **Why no reader sees a partly written vector or the payload of another record.** The writer thread writes vectors
//! into slots that no reader uses (`slots.rs`), and then the rows in one transaction. Under the write lock of `current`
//! it commits and replaces the old [`Version`] with the next one. A reader begins its SQLite transaction and takes the
//! version under the read lock. So both are from the same moment: either before a commit or after it. After that the
//! reader needs no lock: the transaction keeps its rows, and no occupied slot of a version is written while a reader
//! holds that version. The id, payload and vector of a slot stay consistent.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use rusqlite::Connection;

use super::compact::is_too_long;
use super::error::Fault;
use super::filters::FilterCache;
use super::fingerprint::Fingerprint;
use super::lists::ListsWriter;
use super::rows;
use super::search::{Scored, Search};
use super::slots::Slots;
use super::snapshot::{Readers, Snapshot};
use super::threads::ScanThreads;
use super::vectors::{Vectors, checksum};
use super::version::Version;
use crate::domain::{
    CollectionInfo, CollectionName, Embedding, Hit, ImageId, ImageRecord, Payload, SearchQuery, Space, StoredImage,
};
use crate::index::shared::check_query;
use crate::lock::{lock, read, write};

#[derive(Debug)]
pub(super) struct Collection {
    pub(super) name: CollectionName,
    pub(super) space: Space,
    pub(super) number: i64,
    pub(super) path: PathBuf,
    /// `None` after the collection was dropped.
    pub(super) current: RwLock<Option<Current>>,
    /// Locked only on the writer thread.
    pub(super) writer: Mutex<Writer>,
    readers: Arc<Readers>,
    /// The number of damaged records found since the index was opened; only the first ones are logged.
    damage_logged: AtomicU32,
    is_unchecked: bool,
}

/// The maximum number of damaged records that are logged.
const MAX_DAMAGE_LOGGED: u32 = 20;

/// What a new reader gets.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) version: Arc<Version>,
    /// The sets of filters in the state of the version.
    pub(super) filters: Arc<FilterCache>,
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) vectors: Vectors,
    pub(super) slots: Slots,
    pub(super) lists: ListsWriter,
}

impl Collection {
    /// Opens the vectors file and reads which record has which slot. Returns also the slots and ids of records whose vector
    /// does not match its checksum, because a power loss destroyed it. Their rows still exist.
    pub(super) fn open(
        (number, name, space): (i64, CollectionName, Space),
        path: PathBuf,
        connection: &Connection,
        readers: Arc<Readers>,
    ) -> Result<(Self, Vec<(u32, ImageId)>), Fault> {
        let mut vectors = Vectors::open(&path, space.dimension, 0)?;
        let mut version = Version::empty(vectors.map());
        let loaded = ListsWriter::load(&path, (connection, number), &mut version)?;
        let is_unchecked = loaded.is_some();
        let (lists, lost) = match loaded {
            Some(loaded) => loaded,
            None => (ListsWriter::default(), read_records(connection, number, &mut vectors, &mut version)?),
        };
        if !is_unchecked && lost.is_empty() && Fingerprint::read(connection, number)? != Some(version.fingerprint()) {
            version.fingerprint().write(connection, number)?;
        }
        let slots = Slots::from_version(&version);
        if is_too_long(version.map().slots(), slots.end() as usize) {
            // The compaction was interrupted before it shortened the file, and readers do not exist yet.
            vectors.shorten(slots.end())?;
            version.set_map(vectors.map());
        }
        let writer = Mutex::new(Writer { vectors, slots, lists });
        let current = RwLock::new(Some(Current { version: Arc::new(version), filters: Arc::default() }));
        let damage_logged = AtomicU32::new(0);
        Ok((Self { name, space, number, path, current, writer, readers, damage_logged, is_unchecked }, lost))
    }

    pub(super) fn name(&self) -> &CollectionName {
        &self.name
    }

    pub(super) fn space(&self) -> &Space {
        &self.space
    }

    /// Returns the number in the names of its tables.
    pub(super) fn number(&self) -> i64 {
        self.number
    }

    /// Returns whether most vectors were not read when the collection was opened.
    pub(super) fn is_unchecked(&self) -> bool {
        self.is_unchecked
    }

    /// Returns the path of the vectors file.
    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Returns the space and the number of records; `None` after the collection was dropped.
    pub(super) fn info(&self) -> Option<CollectionInfo> {
        let count = read(&self.current).as_ref()?.version.count() as u64;
        Some(CollectionInfo { name: self.name.clone(), space: self.space.clone(), count })
    }

    /// Returns the ids and vectors of this moment.
    pub(super) fn version(&self) -> Result<Arc<Version>, Fault> {
        let current = read(&self.current);
        current.as_ref().map(|current| Arc::clone(&current.version)).ok_or(Fault::Dropped)
    }

    /// Returns the rows and vectors of this moment; see the module documentation.
    pub(super) fn snapshot(&self) -> Result<Snapshot, Fault> {
        let reader = self.readers.take()?;
        let current = read(&self.current);
        let Current { version, filters } = current.as_ref().ok_or(Fault::Dropped)?;
        reader.begin()?;
        Ok(Snapshot::new(Arc::clone(version), Arc::clone(filters), reader))
    }

    /// Changes the sets of filters, unless `version` is not the current one. Returns whether it is.
    pub(super) fn change_filters(&self, version: &Arc<Version>, change: impl FnOnce(&mut FilterCache)) -> bool {
        match write(&self.current).as_mut() {
            Some(current) if Arc::ptr_eq(&current.version, version) => {
                change(Arc::make_mut(&mut current.filters));
                true
            }
            _ => false,
        }
    }

    pub(super) fn search(&self, query: &SearchQuery, threads: &ScanThreads) -> Result<Vec<Hit>, Fault> {
        check_query(query, &self.space)?;
        let snapshot = self.snapshot()?;
        let allowed = self.allowed(&snapshot, &query.filter)?;
        let keep = query.offset.saturating_add(query.limit);
        let padded = snapshot.version.map().pad(query.embedding.as_slice());
        let search = Search { version: Arc::clone(&snapshot.version), allowed, query: padded };
        let permits = threads.take();
        let best = search.best(keep, query.effort, permits.count());
        drop(permits);
        let page = best.into_iter().skip(query.offset).take(query.limit);
        let mut hits = Vec::new();
        for Scored { score, id, slot } in page {
            if let Some(payload) = self.payload(&snapshot, id, slot)? {
                hits.push(Hit { id, score, payload });
            }
        }
        Ok(hits)
    }

    /// Returns the payload in a slot; `None` if it is damaged, so that the other records are still returned.
    pub(super) fn payload(&self, snapshot: &Snapshot, id: ImageId, slot: u32) -> Result<Option<Payload>, Fault> {
        match rows::payload(snapshot.rows()?, self.number, slot) {
            Err(Fault::Damaged(why)) => {
                if self.damage_logged.fetch_add(1, Ordering::Relaxed) < MAX_DAMAGE_LOGGED {
                    let collection = &self.name;
                    tracing::error!(%collection, %id, why, "a record is damaged and left out; index its image again");
                }
                Ok(None)
            }
            payload => payload.map(Some),
        }
    }

    pub(super) fn get(&self, ids: &[ImageId]) -> Result<Vec<ImageRecord>, Fault> {
        let snapshot = self.snapshot()?;
        let read = self.read_payloads(&snapshot, ids)?.into_iter().map(|(slot, StoredImage { id, payload })| {
            let vector = snapshot.version.map().vector(slot).to_vec();
            let embedding = Embedding::normalised(vector, self.space.dimension)
                .map_err(|error| Fault::Damaged(format!("slot {slot}: {error}")))?;
            Ok(ImageRecord { id, uri: payload.s3_uri.clone(), embedding, payload })
        });
        read.collect()
    }

    pub(super) fn payloads(&self, ids: &[ImageId]) -> Result<Vec<StoredImage>, Fault> {
        let read = self.read_payloads(&self.snapshot()?, ids)?;
        Ok(read.into_iter().map(|(_, image)| image).collect())
    }

    /// Returns the records with these ids that exist, with their slots.
    fn read_payloads(&self, snapshot: &Snapshot, ids: &[ImageId]) -> Result<Vec<(u32, StoredImage)>, Fault> {
        let mut images = Vec::with_capacity(ids.len());
        for &id in ids {
            let Some(slot) = snapshot.version.ids().get(id) else { continue };
            let Some(payload) = self.payload(snapshot, id, slot)? else { continue };
            images.push((slot, StoredImage { id, payload }));
        }
        Ok(images)
    }

    /// Returns the first `limit` ids after `after`, ascending.
    pub(super) fn ids(&self, after: Option<ImageId>, limit: u32) -> Result<Vec<ImageId>, Fault> {
        let version = self.version()?;
        Ok(version.ids().after(after).take(limit as usize).map(|(id, _)| id).collect())
    }

    /// Returns the number of changes that are not in the files of the approximate index yet.
    pub(super) fn unwritten(&self) -> usize {
        lock(&self.writer).lists.unwritten()
    }

    /// Returns when every written vector is on the disk.
    pub(super) fn sync_vectors(&self) -> Result<(), Fault> {
        Ok(lock(&self.writer).vectors.sync()?)
    }

    /// Returns when the approximate index is on the disk.
    pub(super) fn sync_lists(&self, connection: &Connection) -> Result<(), Fault> {
        let version = self.version()?;
        lock(&self.writer).lists.sync(&version, connection, self.number)
    }

    /// Records that every commit so far is on the disk.
    pub(super) fn mark_synced(&self) {
        lock(&self.writer).slots.mark_synced();
    }
}

/// Reads from SQLite which record is in which slot, and checks every vector. Returns the slots and ids of the
/// records whose vectors do not match.
fn read_records(
    connection: &Connection,
    number: i64,
    vectors: &mut Vectors,
    version: &mut Version,
) -> Result<Vec<(u32, ImageId)>, Fault> {
    let mut records = Vec::new();
    rows::load(connection, number, |id, slot, sum| records.push((id, slot, sum)))?;
    vectors.reserve(records.iter().map(|(_, slot, _)| slot + 1).max().unwrap_or(0))?;
    let map = vectors.map();
    let is_complete = |slot, sum| checksum(map.vector(slot)) == sum;
    let (found, lost): (Vec<_>, Vec<_>) = records.into_iter().partition(|(_, slot, sum)| is_complete(*slot, *sum));
    *version = Version::new(Arc::clone(&map), found.into_iter().map(|(id, slot, _)| (slot, id)));
    Ok(lost.into_iter().map(|(id, slot, _)| (slot, id)).collect())
}
