//! Shrinks the files of a collection from which many records were removed. The records in the last slots move to free
//! slots, as if they were replaced, and then the files end after the last record.
//!
//! A slot at the end is given up only when it may also be written again (`slots.rs`): then no reader holds a version in
//! which it is occupied, so no reader touches the part of its map that the file has no longer.

use std::sync::Arc;

use rusqlite::Connection;

use super::collection::Collection;
use super::error::Fault;
use super::folder::Folder;
use super::maintenance::Progress;
use super::rows::Row;
use super::version::BLOCK;
use crate::domain::ImageId;
use crate::lock::{lock, write};

/// Free slots that a collection may have in any case, beside as many as it has records.
const MAX_FREE: usize = 16_384;
/// Records that one step moves.
const RECORDS_PER_STEP: usize = 500;

/// Returns whether `slots` are many more than `records` need.
pub(super) fn is_too_long(slots: u32, records: usize) -> bool {
    slots as usize > records * 2 + MAX_FREE
}

impl Folder {
    /// Does a part of the compaction of a collection. Runs on the writer thread.
    pub(super) fn compact(&self, connection: &mut Connection) -> Result<Progress, Fault> {
        let Some(collection) = self.all().into_iter().find(|collection| collection.is_sparse()) else {
            return Ok(Progress::Done);
        };
        // Slots that were emptied before can be written after it.
        self.sync(connection)?;
        let progress = collection.compact(connection)?;
        self.record_writes(connection, RECORDS_PER_STEP);
        Ok(progress)
    }
}

impl Collection {
    /// Returns whether the files are much longer than the records need.
    pub(super) fn is_sparse(&self) -> bool {
        self.version().is_ok_and(|version| is_too_long(version.slots(), version.count()))
    }

    fn compact(&self, connection: &mut Connection) -> Result<Progress, Fault> {
        let version = self.version()?;
        let end = u32::try_from(version.count().next_multiple_of(BLOCK)).unwrap_or(u32::MAX);
        let last: Vec<ImageId> = version.occupied_from(end).take(RECORDS_PER_STEP).map(|(_, id)| id).collect();
        drop(version);
        if last.is_empty() {
            return self.shorten(end);
        }
        if lock(&self.writer).slots.free_below(end) < last.len() {
            return Ok(Progress::Later);
        }
        let records = self.get(&last)?;
        if records.len() < last.len() {
            return Err(Fault::Damaged("a record in one of the last slots cannot be moved".to_owned()));
        }
        let mut rows = records.iter().map(Row::new).collect::<Result<Vec<_>, _>>()?;
        self.encode(&mut rows)?;
        self.upsert(connection, rows)?;
        Ok(Progress::More)
    }

    /// Shortens the files to the slots before `end`, if the others may be given up.
    fn shorten(&self, end: u32) -> Result<Progress, Fault> {
        let mut writer = lock(&self.writer);
        if !writer.slots.truncate(end) {
            return Ok(Progress::Later);
        }
        let mut current = write(&self.current);
        let current = current.as_mut().ok_or(Fault::Dropped)?;
        let before = Arc::downgrade(&current.version);
        let version = Arc::make_mut(&mut current.version);
        // A reader that holds the version before has the longer map, of which it reads occupied slots only.
        writer.vectors.shorten(end)?;
        version.truncate(end, writer.vectors.map());
        writer.slots.add_emptied(before, Vec::new());
        writer.lists.shorten(end)?;
        tracing::info!(collection = %self.name, slots = end, "shortened the files of a collection");
        Ok(Progress::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{open, row};
    use super::*;

    #[test]
    fn files_shrink_after_records_were_removed_and_readers_keep_what_they_see() {
        let path = tempfile::tempdir().unwrap();
        let (folder, mut writer, collection) = open(path.path());
        for start in (0..24_000).step_by(4_000) {
            collection.upsert(&mut writer, (start..start + 4_000).map(|n| row(n, n)).collect()).unwrap();
        }
        let bytes =
            || ["1.vectors", "1.lists"].map(|file| path.path().join(file).metadata().map_or(0, |file| file.len()));
        while folder.build_lists(&mut writer).unwrap() {}
        assert!(!collection.is_sparse());
        let held = collection.version().unwrap();
        // The records that stay are the newest ones, at the end of the files.
        let removed: Vec<ImageId> = (0..22_000).map(|n| row(n, n).id).collect();
        collection.delete(&mut writer, &removed).unwrap();
        assert!(collection.is_sparse());
        let before = bytes();
        assert_eq!(folder.compact(&mut writer).unwrap(), Progress::Later, "a reader may use the free slots");
        let last = held.occupied_from(23_999).next().unwrap();
        assert_eq!(
            (last.1, held.map().vector(23_999)),
            (row(23_999, 23_999).id, row(23_999, 23_999).embedding.as_slice())
        );
        drop(held);
        while folder.compact(&mut writer).unwrap() == Progress::More {}
        assert_eq!(folder.compact(&mut writer).unwrap(), Progress::Done);
        let after = bytes();
        assert!(after[0] * 8 < before[0] && after[1] * 8 < before[1] && after[1] > 0, "{before:?} {after:?}");
        let check = |collection: &Collection| {
            for n in (22_000..24_000).step_by(97) {
                let record = collection.get(&[row(n, n).id]).unwrap().remove(0);
                assert_eq!((record.payload.width, &record.embedding), (n, &row(n, n).embedding));
            }
            assert_eq!(collection.info().unwrap().count, 2_000);
            assert_eq!(collection.version().unwrap().lists().unwrap().count(), 2_000);
        };
        check(&collection);
        collection.upsert(&mut writer, vec![row(24_000, 1)]).unwrap();
        collection.delete(&mut writer, &[row(24_000, 1).id]).unwrap();
        folder.record_writes(&writer, usize::MAX / 4);
        drop((folder, writer, collection));
        let (_folder, _writer, collection) = open(path.path());
        check(&collection);
    }
}
