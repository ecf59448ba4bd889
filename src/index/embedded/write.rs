//! How a collection changes. Everything but [`Collection::encode`] runs on the writer thread.

use std::sync::Arc;

use ivf::{Entry, Index, Split};
use rusqlite::{Connection, Transaction};

use super::collection::{Collection, Writer};
use super::error::Fault;
use super::filters::Attributes;
use super::lists::{ListsWriter, changes};
use super::rows::{self, Row};
use super::version::Version;
use crate::domain::ImageId;
use crate::index::shared::check_dimensions;
use crate::lock::{lock, write};

/// What a commit changes.
#[derive(Debug, Default)]
struct Changes {
    /// How lists are divided that became too long by earlier commits.
    splits: Vec<Split>,
    emptied: Vec<u32>,
    /// The slots of new records, with their ids and codes.
    filled: Vec<(u32, ImageId, Option<Entry>)>,
    /// The same slots, with the values of the records that filters are about.
    attributes: Vec<(u32, Attributes)>,
}

impl Collection {
    /// Computes the codes of rows for the approximate index, if there is one. A part of [`upsert`](Self::upsert) that
    /// several threads can do at the same time.
    pub(super) fn encode(&self, rows: &mut [Row]) -> Result<(), Fault> {
        let version = self.version()?;
        let Some(encoder) = version.unfinished_lists().map(Index::encoder) else { return Ok(()) };
        let map = version.shared_map();
        // A commit copies what it changes while a version is in use.
        drop(version);
        for row in rows.iter_mut().filter(|row| row.embedding.dimension() == self.space.dimension) {
            row.entry = Some(encoder.encode(&map.pad(row.embedding.as_slice())));
        }
        Ok(())
    }

    /// Writes all rows or none. Their ids must be distinct.
    pub(super) fn upsert(&self, connection: &mut Connection, rows: Vec<Row>) -> Result<(), Fault> {
        check_dimensions(rows.iter().map(|row| (row.id, &row.embedding)), self.space.dimension)?;
        let mut writer = lock(&self.writer);
        let slots = writer.slots.take(rows.len());
        let outcome = self.write_rows(connection, &mut writer, rows, &slots);
        if outcome.is_err() {
            writer.slots.return_unused(slots);
        }
        outcome
    }

    fn write_rows(
        &self,
        connection: &mut Connection,
        writer: &mut Writer,
        rows: Vec<Row>,
        slots: &[u32],
    ) -> Result<(), Fault> {
        let end = writer.slots.end();
        writer.vectors.reserve(end)?;
        writer.vectors.write(slots, rows.iter().map(|row| row.embedding.as_slice()))?;
        let version = self.version()?;
        let emptied: Vec<u32> = rows.iter().filter_map(|row| version.ids().get(row.id)).collect();
        let tx = connection.transaction()?;
        // Other threads divide lists meanwhile: that takes as long as the rows.
        let (written, splits) = std::thread::scope(|scope| {
            let planned = writer.lists.start_splits(scope, &version);
            (rows::write(&tx, self.number, &rows, slots, &emptied), planned())
        });
        drop(version);
        written?;
        let rows = rows.into_iter().zip(slots);
        let (filled, attributes) =
            rows.map(|(row, slot)| ((*slot, row.id, row.entry), (*slot, row.attributes))).unzip();
        self.commit(tx, writer, Changes { splits, emptied, filled, attributes })
    }

    pub(super) fn delete(&self, connection: &mut Connection, ids: &[ImageId]) -> Result<(), Fault> {
        let mut writer = lock(&self.writer);
        let version = self.version()?;
        let mut emptied: Vec<u32> = ids.iter().filter_map(|id| version.ids().get(*id)).collect();
        drop(version);
        emptied.sort_unstable();
        emptied.dedup();
        let tx = connection.transaction()?;
        rows::clear(&tx, self.number, &emptied)?;
        self.commit(tx, &mut writer, Changes { emptied, ..Changes::default() })
    }

    /// Commits the transaction and makes the new version visible to readers.
    fn commit(&self, tx: Transaction<'_>, writer: &mut Writer, changes: Changes) -> Result<(), Fault> {
        let Changes { splits, emptied, filled, attributes } = changes;
        let mut current = write(&self.current);
        let current = current.as_mut().ok_or(Fault::Dropped)?;
        let mut fingerprint = current.version.fingerprint();
        for &slot in &emptied {
            if let Some(id) = current.version.occupant(slot) {
                fingerprint.remove(slot, id);
            }
        }
        for (slot, id, _) in &filled {
            fingerprint.add(*slot, *id);
        }
        fingerprint.write(&tx, self.number)?;
        tx.commit()?;
        let before = Arc::downgrade(&current.version);
        // Changes the version in place if no reader holds it; the weak reference `before` is dead then.
        let version = Arc::make_mut(&mut current.version);
        let map = writer.vectors.map();
        version.set_map(Arc::clone(&map));
        for &slot in &emptied {
            version.set(slot, None);
        }
        for (slot, id, _) in &filled {
            version.set(*slot, Some(*id));
        }
        if let Some(index) = version.lists_mut() {
            writer.lists.apply_splits(index, splits);
            writer.lists.remove(index, &emptied);
            writer.lists.add(index, &filled, &map);
        }
        if !current.filters.is_empty() {
            Arc::make_mut(&mut current.filters).apply(&emptied, &attributes, version.slots());
        }
        writer.slots.add_emptied(before, emptied);
        Ok(())
    }

    /// Changes the approximate index without a commit: the records stay the same.
    fn change_lists(
        &self,
        writer: &mut Writer,
        change: impl FnOnce(&mut ListsWriter, &mut Version),
    ) -> Result<(), Fault> {
        let mut current = write(&self.current);
        let current = current.as_mut().ok_or(Fault::Dropped)?;
        let before = Arc::downgrade(&current.version);
        change(&mut writer.lists, Arc::make_mut(&mut current.version));
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
        let Some(index) = version.unfinished_lists() else {
            let begun = writer.lists.begin(&version);
            drop(version);
            return self.change_lists(&mut writer, |_, version| version.set_lists(begun));
        };
        if let Some(part) = writer.lists.next_part(&version, index) {
            let splits = std::thread::scope(|scope| writer.lists.start_splits(scope, &version)());
            drop(version);
            return self.change_lists(&mut writer, |lists, version| {
                let map = version.shared_map();
                if let Some(index) = version.lists_mut() {
                    lists.apply_splits(index, splits);
                    lists.add_part(index, part, &map);
                }
            });
        }
        let (collection, records, lists) = (&self.name, index.count(), index.lists());
        let tx = connection.transaction()?;
        let written = writer.lists.write_all(&self.path, (&tx, self.number), &version, index);
        match written.and_then(|file| Ok(tx.commit().map(|()| file)?)) {
            Ok(file) => writer.lists.set_file(Some(file)),
            Err(error) => tracing::warn!(
                %collection, %error,
                "cannot write the approximate index to its files; searches work, the next start builds it again"
            ),
        }
        tracing::info!(
            %collection, records, lists,
            "built the approximate index; a search can miss a hit now (`exact=true` compares every vector)"
        );
        drop(version);
        self.change_lists(&mut writer, |_, version| version.complete_lists())
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
}
