//! One open collection.
//!
//! **Why no reader sees a torn vector or another record's payload.** The writer thread writes vectors into
//! slots that nobody looks at (`slots.rs`), then the rows in one transaction. It commits, and puts the next
//! [`Version`] in place of the old, under the write half of `current`. A reader begins its SQLite transaction
//! and takes the version under the read half. So the two are of one moment: either both from before a
//! commit or both from after it. From there on it needs no lock: the transaction keeps its rows, and as long
//! as the version is held no slot in it is written. Each slot's occupant, payload and vector stay together.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::{Connection, Transaction};

use super::error::Fault;
use super::rows::{self, Row};
use super::slots::Slots;
use super::snapshot::{Readers, Snapshot};
use super::vectors::{Vectors, checksum};
use super::version::Version;
use super::{filter, scan};
use crate::domain::{
    CollectionInfo, CollectionName, Embedding, Hit, ImageId, ImageRecord, Payload, SearchQuery, Space, SpaceMismatch,
};
use crate::index::IndexError;

#[derive(Debug)]
pub(super) struct Collection {
    name: CollectionName,
    space: Space,
    number: i64,
    path: PathBuf,
    /// `None` once it is dropped.
    current: RwLock<Option<Arc<Version>>>,
    /// Only ever locked on the writer thread.
    writer: Mutex<Writer>,
    readers: Arc<Readers>,
    /// Damaged records that were met since the opening; only the first of them are logged.
    damage_logged: AtomicU32,
}

/// Damaged records that are logged.
const DAMAGE_LOGGED: u32 = 20;

#[derive(Debug)]
struct Writer {
    vectors: Vectors,
    slots: Slots,
}

impl Collection {
    /// Opens the file of vectors and reads who is where. Answers also with the records whose vector is not
    /// the one that was written: a loss of power took it. Their rows are still there.
    pub(super) fn open(
        (number, name, space): (i64, CollectionName, Space),
        path: PathBuf,
        connection: &Connection,
        readers: Arc<Readers>,
    ) -> Result<(Self, Vec<ImageId>), Fault> {
        let mut records = Vec::new();
        rows::load(connection, number, |id, slot, sum| records.push((id, slot, sum)))?;
        let end = records.iter().map(|(_, slot, _)| slot + 1).max().unwrap_or(0);
        let vectors = Vectors::open(&path, space.dimension, end)?;
        let (map, mut lost) = (vectors.map(), Vec::new());
        let mut version = Version::empty(vectors.map());
        for (id, slot, sum) in records {
            if checksum(map.vector(slot)) == sum {
                version.set(slot, Some(id));
            } else {
                lost.push(id);
            }
        }
        let writer = Mutex::new(Writer { vectors, slots: Slots::of(&version) });
        let current = RwLock::new(Some(Arc::new(version)));
        let damage_logged = AtomicU32::new(0);
        Ok((Self { name, space, number, path, current, writer, readers, damage_logged }, lost))
    }

    pub(super) fn name(&self) -> &CollectionName {
        &self.name
    }

    pub(super) fn space(&self) -> &Space {
        &self.space
    }

    /// Its file of vectors.
    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Space and count; `None` once it is dropped.
    pub(super) fn info(&self) -> Option<CollectionInfo> {
        let count = self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.count() as u64;
        Some(CollectionInfo { name: self.name.clone(), space: self.space.clone(), count })
    }

    /// Rows and vectors of this moment; see the top of this file.
    pub(super) fn snapshot(&self) -> Result<Snapshot, Fault> {
        let reader = self.readers.take()?;
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let version = current.as_ref().ok_or(Fault::Dropped)?;
        reader.begin()?;
        Ok(Snapshot::new(Arc::clone(version), reader))
    }

    pub(super) fn search(&self, query: &SearchQuery) -> Result<Vec<Hit>, Fault> {
        self.check_size(query)?;
        let snapshot = self.snapshot()?;
        let allowed = filter::slots(snapshot.rows()?, self.number, &query.filter)?;
        let keep = query.offset.saturating_add(query.limit);
        let best = scan::best(&snapshot.version, allowed.as_ref(), query.embedding.as_slice(), keep);
        let wanted = best.into_iter().skip(query.offset).take(query.limit);
        let mut hits = Vec::new();
        for scan::Scored { score, id, slot } in wanted {
            if let Some(payload) = self.payload(&snapshot, id, slot)? {
                hits.push(Hit { id, score, payload });
            }
        }
        Ok(hits)
    }

    /// The payload in a slot; `None` if it is damaged: that is no reason to give nothing of the others.
    fn payload(&self, snapshot: &Snapshot, id: ImageId, slot: u32) -> Result<Option<Payload>, Fault> {
        match rows::payload(snapshot.rows()?, self.number, slot) {
            Err(Fault::Damaged(why)) => {
                if self.damage_logged.fetch_add(1, Ordering::Relaxed) < DAMAGE_LOGGED {
                    tracing::error!(collection = %self.name, %id, why, "a record is damaged and is left out; index its image again");
                }
                Ok(None)
            }
            payload => payload.map(Some),
        }
    }

    fn check_size(&self, query: &SearchQuery) -> Result<(), Fault> {
        let (actual, wanted) = (query.embedding.dimension(), self.space.dimension);
        if actual == wanted {
            return Ok(());
        }
        let (stored, offered) = (self.space.name(), format!("a query of {actual} numbers"));
        let reason = format!("{wanted} numbers against {actual}");
        Err(IndexError::Space(SpaceMismatch { stored, offered, reason }).into())
    }

    pub(super) fn get(&self, ids: &[ImageId]) -> Result<Vec<ImageRecord>, Fault> {
        let snapshot = self.snapshot()?;
        let mut records = Vec::with_capacity(ids.len());
        for &id in ids {
            let Some(slot) = rows::slot(snapshot.rows()?, self.number, id)? else { continue };
            let Some(payload) = self.payload(&snapshot, id, slot)? else { continue };
            let vector = snapshot.version.map().vector(slot).to_vec();
            let embedding = Embedding::normalised(vector, self.space.dimension)
                .map_err(|error| Fault::Damaged(format!("slot {slot}: {error}")))?;
            records.push(ImageRecord { id, uri: payload.s3_uri.clone(), embedding, payload });
        }
        Ok(records)
    }

    /// The first `limit` ids after `after`, ascending.
    pub(super) fn ids(&self, after: Option<ImageId>, limit: u32) -> Result<Vec<ImageId>, Fault> {
        Ok(rows::ids(self.snapshot()?.rows()?, self.number, after, limit)?)
    }

    /// Writes rows of different ids. All of them or none.
    pub(super) fn upsert(&self, connection: &mut Connection, rows: &[Row]) -> Result<(), Fault> {
        if let Some(row) = rows.iter().find(|row| row.embedding.dimension() != self.space.dimension) {
            let (actual, wanted) = (row.embedding.dimension(), self.space.dimension);
            let reason = format!("its vector has {actual} numbers, the collection's have {wanted}");
            return Err(IndexError::Rejected { id: row.id, reason }.into());
        }
        let mut writer = self.writer();
        let slots = writer.slots.take(rows.len());
        let outcome = self.put(connection, &mut writer, rows, &slots);
        if outcome.is_err() {
            writer.slots.give_back(slots);
        }
        outcome
    }

    fn put(&self, connection: &mut Connection, writer: &mut Writer, rows: &[Row], slots: &[u32]) -> Result<(), Fault> {
        let end = writer.slots.end();
        writer.vectors.reserve(end)?;
        for (row, &slot) in rows.iter().zip(slots) {
            writer.vectors.write(slot, row.embedding.as_slice())?;
        }
        let tx = connection.transaction()?;
        let emptied = rows::put(&tx, self.number, rows, slots)?;
        self.commit(tx, writer, emptied, |version| {
            for (row, &slot) in rows.iter().zip(slots) {
                version.set(slot, Some(row.id));
            }
        })
    }

    pub(super) fn delete(&self, connection: &mut Connection, ids: &[ImageId]) -> Result<(), Fault> {
        let tx = connection.transaction()?;
        let emptied = rows::delete(&tx, self.number, ids)?;
        self.commit(tx, &mut self.writer(), emptied, |_| ())
    }

    /// Commits, and lets readers see it.
    fn commit(
        &self,
        tx: Transaction<'_>,
        writer: &mut Writer,
        emptied: Vec<u32>,
        fill: impl FnOnce(&mut Version),
    ) -> Result<(), Fault> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let current = current.as_mut().ok_or(Fault::Dropped)?;
        tx.commit()?;
        let before = Arc::downgrade(current);
        // In place where no reader holds the version, which also ends `before`.
        let version = Arc::make_mut(current);
        version.set_map(writer.vectors.map());
        for &slot in &emptied {
            version.set(slot, None);
        }
        fill(version);
        writer.slots.emptied(before, emptied);
        Ok(())
    }

    /// It can no longer be found; its rows and its file are still there. A reader that has it reads on.
    pub(super) fn drop_all(&self, connection: &mut Connection) -> Result<(), Fault> {
        let tx = connection.transaction()?;
        rows::forget(&tx, self.number)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        tx.commit()?;
        *current = None;
        Ok(())
    }

    /// Returns when the disk has every vector that was written.
    pub(super) fn sync_vectors(&self) -> Result<(), Fault> {
        Ok(self.writer().vectors.sync()?)
    }

    /// The disk has every commit, too.
    pub(super) fn commits_on_disk(&self) {
        self.writer().slots.on_disk();
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
