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

use ivf::{Entry, Index};
use rusqlite::{Connection, Transaction};

use super::error::Fault;
use super::filters::{Attributes, FilterCache};
use super::lists::{ListsWriter, changes};
use super::rows::{self, Row};
use super::search::{Scored, Search};
use super::slots::Slots;
use super::snapshot::{Readers, Snapshot};
use super::threads::ScanThreads;
use super::vectors::{Vectors, checksum};
use super::version::Version;
use crate::domain::{
    CollectionInfo, CollectionName, Embedding, Hit, ImageId, ImageRecord, Payload, SearchQuery, Space, StoredImage,
};
use crate::index::shared::{check_dimensions, check_query};
use crate::lock::{lock, read, write};

#[derive(Debug)]
pub(super) struct Collection {
    name: CollectionName,
    space: Space,
    number: i64,
    path: PathBuf,
    /// `None` after the collection was dropped.
    current: RwLock<Option<Current>>,
    /// Locked only on the writer thread.
    writer: Mutex<Writer>,
    readers: Arc<Readers>,
    /// The number of damaged records found since the index was opened; only the first ones are logged.
    damage_logged: AtomicU32,
    is_unchecked: bool,
}

/// The maximum number of damaged records that are logged.
const MAX_DAMAGE_LOGGED: u32 = 20;

/// What a new reader gets.
#[derive(Debug)]
struct Current {
    version: Arc<Version>,
    /// The sets of filters in the state of the version.
    filters: Arc<FilterCache>,
}

#[derive(Debug)]
struct Writer {
    vectors: Vectors,
    slots: Slots,
    lists: ListsWriter,
}

/// What a commit changes.
#[derive(Debug, Default)]
struct Changes {
    emptied: Vec<u32>,
    /// The slots of new records, with their ids and codes.
    filled: Vec<(u32, ImageId, Option<Entry>)>,
    /// The same slots, with the values of the records that filters are about.
    attributes: Vec<(u32, Attributes)>,
}

impl Collection {
    /// Opens the vectors file and reads which record has which slot. Returns also the ids of records whose vector does
    /// not match its checksum, because a power loss destroyed it. Their rows still exist.
    pub(super) fn open(
        (number, name, space): (i64, CollectionName, Space),
        path: PathBuf,
        connection: &Connection,
        readers: Arc<Readers>,
    ) -> Result<(Self, Vec<ImageId>), Fault> {
        let mut vectors = Vectors::open(&path, space.dimension, 0)?;
        let mut version = Version::empty(vectors.map());
        let loaded = ListsWriter::load(&path, (connection, number), &mut version)?;
        let is_unchecked = loaded.is_some();
        let (lists, lost) = match loaded {
            Some(loaded) => loaded,
            None => (ListsWriter::default(), read_records(connection, number, &mut vectors, &mut version)?),
        };
        let writer = Mutex::new(Writer { vectors, slots: Slots::from_version(&version), lists });
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
        let search = Search { version: &snapshot.version, allowed: allowed.as_ref(), query: padded };
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
            let Some(slot) = rows::slot(snapshot.rows()?, self.number, id)? else { continue };
            let Some(payload) = self.payload(snapshot, id, slot)? else { continue };
            images.push((slot, StoredImage { id, payload }));
        }
        Ok(images)
    }

    /// Returns the first `limit` ids after `after`, ascending.
    pub(super) fn ids(&self, after: Option<ImageId>, limit: u32) -> Result<Vec<ImageId>, Fault> {
        Ok(rows::ids(self.snapshot()?.rows()?, self.number, after, limit)?)
    }

    /// Computes the codes of rows for the approximate index, if there is one. A part of [`upsert`](Self::upsert) that
    /// several threads can do at the same time.
    pub(super) fn encode(&self, rows: &mut [Row]) -> Result<(), Fault> {
        let version = self.version()?;
        if let Some(index) = version.lists() {
            for row in rows.iter_mut().filter(|row| row.embedding.dimension() == self.space.dimension) {
                row.entry = Some(index.encode(&version.map().pad(row.embedding.as_slice())));
            }
        }
        Ok(())
    }

    /// Writes all rows or none. Their ids must be distinct.
    pub(super) fn upsert(&self, connection: &mut Connection, rows: Vec<Row>) -> Result<(), Fault> {
        check_dimensions(rows.iter().map(|row| (row.id, &row.embedding)), self.space.dimension)?;
        let mut writer = lock(&self.writer);
        let slots = writer.slots.take(rows.len());
        let outcome = self.write_rows(connection, &mut writer, rows, &slots);
        match outcome {
            Ok(emptied) => self.update_lists(&mut writer, &slots, emptied),
            Err(error) => {
                writer.slots.return_unused(slots);
                Err(error)
            }
        }
    }

    /// Returns the slots of the records that were replaced.
    fn write_rows(
        &self,
        connection: &mut Connection,
        writer: &mut Writer,
        rows: Vec<Row>,
        slots: &[u32],
    ) -> Result<Vec<u32>, Fault> {
        let end = writer.slots.end();
        writer.vectors.reserve(end)?;
        for (row, &slot) in rows.iter().zip(slots) {
            writer.vectors.write(slot, row.embedding.as_slice())?;
        }
        let tx = connection.transaction()?;
        let emptied = rows::write(&tx, self.number, &rows, slots)?;
        let rows = rows.into_iter().zip(slots);
        let (filled, attributes) =
            rows.map(|(row, slot)| ((*slot, row.id, row.entry), (*slot, row.attributes))).unzip();
        self.commit(tx, writer, Changes { emptied: emptied.clone(), filled, attributes })?;
        Ok(emptied)
    }

    pub(super) fn delete(&self, connection: &mut Connection, ids: &[ImageId]) -> Result<(), Fault> {
        let tx = connection.transaction()?;
        let emptied = rows::delete(&tx, self.number, ids)?;
        let mut writer = lock(&self.writer);
        self.commit(tx, &mut writer, Changes { emptied: emptied.clone(), ..Changes::default() })?;
        self.update_lists(&mut writer, &[], emptied)
    }

    /// Commits the transaction and makes the new version visible to readers.
    fn commit(&self, tx: Transaction<'_>, writer: &mut Writer, changes: Changes) -> Result<(), Fault> {
        let Changes { emptied, filled, attributes } = changes;
        let mut current = write(&self.current);
        let current = current.as_mut().ok_or(Fault::Dropped)?;
        tx.commit()?;
        let before = Arc::downgrade(&current.version);
        // Changes the version in place if no reader holds it; the weak reference `before` is dead then.
        let version = Arc::make_mut(&mut current.version);
        let map = writer.vectors.map();
        version.set_map(Arc::clone(&map));
        for &slot in &emptied {
            version.set(slot, None);
        }
        writer.lists.remove(version.lists_mut(), &emptied);
        for (slot, id, _) in &filled {
            version.set(*slot, Some(*id));
        }
        writer.lists.add(version.lists_mut(), &filled, &map);
        if !current.filters.is_empty() {
            Arc::make_mut(&mut current.filters).apply(&emptied, &attributes, version.slots());
        }
        writer.slots.add_emptied(before, emptied);
        Ok(())
    }

    /// Splits the lists of the approximate index that became too long by the records in the slots `filled`, and writes what
    /// changed to its files.
    fn update_lists(&self, writer: &mut Writer, filled: &[u32], emptied: Vec<u32>) -> Result<(), Fault> {
        let version = self.version()?;
        let Some(index) = version.lists() else { return Ok(()) };
        let mut changed = emptied;
        changed.extend(filled);
        let splits = writer.lists.plan_splits(index, filled, version.map());
        if !splits.is_empty() {
            drop(version);
            self.change_lists(writer, |lists, index| {
                if let Some(index) = index {
                    lists.apply_splits(index, splits, &mut changed);
                }
            })?;
        }
        writer.lists.store(&*self.version()?, changed);
        Ok(())
    }

    /// Changes the approximate index without a commit: the records stay the same.
    fn change_lists(
        &self,
        writer: &mut Writer,
        change: impl FnOnce(&mut ListsWriter, &mut Option<Index>),
    ) -> Result<(), Fault> {
        let mut current = write(&self.current);
        let current = current.as_mut().ok_or(Fault::Dropped)?;
        let before = Arc::downgrade(&current.version);
        change(&mut writer.lists, Arc::make_mut(&mut current.version).lists_mut());
        // A reader may hold the version before. Slots that a later commit empties wait for it, too.
        writer.slots.add_emptied(before, Vec::new());
        Ok(())
    }

    /// Returns whether the collection needs an approximate index and has none.
    pub(super) fn needs_lists(&self) -> bool {
        self.version().is_ok_and(|version| ListsWriter::is_needed(&version))
    }

    /// Makes the next start build the approximate index again.
    pub(super) fn abandon_lists_files(&self, connection: &Connection) -> rusqlite::Result<()> {
        lock(&self.writer).lists.set_file(None);
        changes::remove(connection, self.number)
    }

    /// Does a part of the construction of the approximate index. Runs on the writer thread.
    pub(super) fn build_lists(&self, connection: &mut Connection) -> Result<(), Fault> {
        let (mut writer, version) = (lock(&self.writer), self.version()?);
        let Some(index) = writer.lists.build_step(&version) else { return Ok(()) };
        let (collection, records, lists) = (&self.name, index.count(), index.lists());
        let tx = connection.transaction()?;
        let written = writer.lists.write_all(&self.path, (&tx, self.number), &version, &index);
        match written.and_then(|file| Ok(tx.commit().map(|()| file)?)) {
            Ok(file) => writer.lists.set_file(Some(file)),
            Err(error) => tracing::warn!(
                %collection, %error,
                "cannot write the approximate index to its files; searches work, the next start builds it again"
            ),
        }
        drop(version);
        tracing::info!(%collection, records, lists, "built the approximate index; searches are no longer exact");
        self.change_lists(&mut writer, |_, current| *current = Some(index))
    }

    /// Drops the collection. Its rows and its file still exist; a reader that holds a snapshot can continue to read.
    pub(super) fn drop_all(&self, connection: &mut Connection) -> Result<(), Fault> {
        let tx = connection.transaction()?;
        rows::delete_collection(&tx, self.number)?;
        let mut current = write(&self.current);
        tx.commit()?;
        *current = None;
        Ok(())
    }

    /// Returns when every written vector is on the disk.
    pub(super) fn sync_vectors(&self) -> Result<(), Fault> {
        Ok(lock(&self.writer).vectors.sync()?)
    }

    /// Returns when the approximate index is on the disk.
    pub(super) fn sync_lists(&self, connection: &Connection) -> Result<(), Fault> {
        lock(&self.writer).lists.sync(connection, self.number)
    }

    /// Records that every commit so far is on the disk.
    pub(super) fn mark_synced(&self) {
        lock(&self.writer).slots.mark_synced();
    }
}

/// Reads from SQLite which record is in which slot, and checks every vector. Returns the ids of the records whose vectors do
/// not match.
fn read_records(
    connection: &Connection,
    number: i64,
    vectors: &mut Vectors,
    version: &mut Version,
) -> Result<Vec<ImageId>, Fault> {
    let mut records = Vec::new();
    rows::load(connection, number, |id, slot, sum| records.push((id, slot, sum)))?;
    vectors.reserve(records.iter().map(|(_, slot, _)| slot + 1).max().unwrap_or(0))?;
    version.set_map(vectors.map());
    let mut lost = Vec::new();
    for (id, slot, sum) in records {
        if checksum(version.map().vector(slot)) == sum {
            version.set(slot, Some(id));
        } else {
            lost.push(id);
        }
    }
    Ok(lost)
}
