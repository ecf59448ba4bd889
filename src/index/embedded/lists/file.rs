//! The files of an approximate index, from which the next start reads it: one row for each slot, with the id of its record
//! and its code, and the centroids of all lists by their numbers. Everything in them can be computed from the vectors
//! and SQLite.
//!
//! The rows of new records are written at the next sync; `changes.rs` has the slots whose rows may not be on the disk yet. A
//! split also moves records to other lists. Their old rows stay valid, because their lists keep their numbers and
//! centroids, so each sync writes only some of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use ivf::{Index, Positions, Restore, StoredCode, StoredHead};
use uuid::Uuid;

use crate::domain::ImageId;
use crate::index::embedded::filters::SlotSet;
use crate::resilience::cores;

/// The extensions of the files.
pub(in crate::index::embedded) const EXTENSIONS: [&str; 2] = ["lists", "centroids"];
/// The fields of a row: id, number of the list, scale, code, checksum. A row of zeros is an empty slot.
const ID: Range<usize> = 0..16;
const LIST: Range<usize> = 16..20;
const SCALE: Range<usize> = 20..24;
const HEAD: usize = 24;
const CHECKSUM: usize = 4;
/// The rows that are read or written at the same time.
const CHUNK: u32 = 32_768;
/// Rows with at most this number of rows between them are written at the same time, with those between.
const MAX_GAP: u32 = 64;
/// For each changed record, a sync writes the moved ones among this number of rows.
const ROWS_PER_CHANGE: u32 = 4;

/// The slots whose rows in the file are old.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// The next sync writes these.
    changed: Vec<u32>,
    /// Slots whose records are in another list. Their rows in the file are valid, too.
    pub(super) moved: SlotSet,
    /// The slot from which the next sync writes moved ones.
    next: u32,
}

impl Unwritten {
    pub(super) fn add_changed(&mut self, slots: impl IntoIterator<Item = u32>) {
        self.changed.extend(slots);
    }

    pub(super) fn changed(&self) -> usize {
        self.changed.len()
    }

    pub(super) fn add_moved(&mut self, slots: impl IntoIterator<Item = u32>) {
        slots.into_iter().for_each(|slot| self.moved.set(slot, true));
    }

    /// Forgets the slots from `end` on.
    pub(super) fn remove_from(&mut self, end: u32) {
        self.changed.retain(|slot| *slot < end);
        self.moved.retain(|slot| slot < end);
    }

    /// Takes all changed slots and those of some moved ones, as ranges in their order. `end` is after the last slot.
    pub(super) fn take(&mut self, end: u32) -> Vec<Range<u32>> {
        let mut slots = std::mem::take(&mut self.changed);
        let rows = u32::try_from(slots.len()).unwrap_or(u32::MAX).saturating_mul(ROWS_PER_CHANGE);
        let part = self.next..self.next.saturating_add(rows).min(end);
        self.next = if part.end == end { 0 } else { part.end };
        let moved: Vec<u32> = part.filter(|slot| self.moved.contains(*slot)).collect();
        for slot in &moved {
            self.moved.set(*slot, false);
        }
        slots.extend(moved);
        slots.sort_unstable();
        let mut runs: Vec<Range<u32>> = Vec::new();
        for slot in slots {
            match runs.last_mut() {
                Some(run) if slot <= run.end.saturating_add(MAX_GAP) => run.end = run.end.max(slot + 1),
                _ => runs.push(slot..slot + 1),
            }
        }
        runs
    }
}

/// The files, open for writing.
#[derive(Debug)]
pub(in crate::index::embedded) struct ListsFile {
    rows: File,
    centroids: File,
    /// The length of a vector.
    length: usize,
    /// The number of the first list whose centroid is not in the file.
    next_number: u32,
}

impl ListsFile {
    /// Opens the files beside the vectors file at `path`.
    pub(super) fn open(path: &Path, length: usize) -> io::Result<Self> {
        Self::with_options(path, length, OpenOptions::new().read(true).write(true))
    }

    /// Creates empty files beside the vectors file at `path`.
    pub(super) fn create(path: &Path, length: usize) -> io::Result<Self> {
        Self::with_options(path, length, OpenOptions::new().read(true).write(true).create(true).truncate(true))
    }

    fn with_options(path: &Path, length: usize, options: &OpenOptions) -> io::Result<Self> {
        let [rows, centroids] = EXTENSIONS.map(|extension| options.open(path.with_extension(extension)));
        Ok(Self { rows: rows?, centroids: centroids?, length, next_number: 0 })
    }

    /// Writes the rows of these slots, and the centroids of new lists before them.
    pub(super) fn write(
        &mut self,
        index: &Index,
        positions: &Positions,
        slots: &[Range<u32>],
        occupant: impl Fn(u32) -> Option<ImageId>,
    ) -> io::Result<()> {
        self.write_centroids(index)?;
        let chunks = |run: &Range<u32>| {
            let end = run.end;
            run.clone().step_by(CHUNK as usize).map(move |first| first..end.min(first.saturating_add(CHUNK)))
        };
        for run in slots.iter().flat_map(chunks) {
            let mut bytes = vec![0; run.len() * self.row_bytes()];
            for (slot, row) in run.clone().zip(bytes.chunks_exact_mut(self.row_bytes())) {
                if let Some(id) = occupant(slot) {
                    fill(row, id, |code| index.copy_code(positions, slot, code));
                }
            }
            self.rows.seek(SeekFrom::Start(u64::from(run.start) * self.row_bytes() as u64))?;
            self.rows.write_all(&bytes)?;
        }
        Ok(())
    }

    fn write_centroids(&mut self, index: &Index) -> io::Result<()> {
        if index.next_number() == self.next_number {
            return Ok(());
        }
        for (number, centroid) in index.centroids_from(self.next_number) {
            let mut bytes: Vec<u8> = centroid.iter().flat_map(|x| x.to_le_bytes()).collect();
            seal(&mut bytes);
            self.centroids.seek(SeekFrom::Start(u64::from(number) * bytes.len() as u64))?;
            self.centroids.write_all(&bytes)?;
        }
        self.next_number = index.next_number();
        Ok(())
    }

    /// Shortens the file to the rows of the slots before `end`, if it is longer.
    pub(super) fn shorten(&mut self, end: u32) -> io::Result<()> {
        let bytes = u64::from(end) * self.row_bytes() as u64;
        if self.rows.metadata()?.len() > bytes {
            self.rows.set_len(bytes)?;
        }
        Ok(())
    }

    /// Returns when everything that was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.rows.sync_data()?;
        self.centroids.sync_data()
    }

    /// Reads the index and calls `each` with the id of each slot. Leaves out the slots of `except`, which must be sorted.
    /// Returns `None` if a row is damaged.
    pub(super) fn read(&mut self, except: &[u32], mut each: impl FnMut(u32, ImageId)) -> io::Result<Option<Restore>> {
        let centroids = self.read_centroids()?;
        self.next_number = u32::try_from(centroids.len()).unwrap_or(u32::MAX);
        let mut restore = Restore::new(self.length, centroids);
        let row_bytes = self.row_bytes();
        std::thread::scope(|scope| {
            // Reads the next chunk while the codes of one are added.
            let (sender, chunks) = sync_channel(1);
            let rows = &mut self.rows;
            rows.seek(SeekFrom::Start(0))?;
            scope.spawn(move || read_chunks(rows, row_bytes, &sender));
            for (first, chunk) in (0_u32..).step_by(CHUNK as usize).zip(chunks) {
                let bytes = chunk?;
                let rows = (first..).zip(bytes.chunks_exact(row_bytes));
                let rows: Vec<(u32, &[u8])> =
                    rows.filter(|(slot, row)| row[ID] != [0; 16] && except.binary_search(slot).is_err()).collect();
                let list = |(_, row): &(u32, &[u8])| number(&row[LIST]);
                if !restore.add(cores().get(), &rows, list, |(slot, row)| (*slot, stored(row))).is_empty() {
                    return Ok(None);
                }
                for (slot, row) in rows {
                    each(slot, ImageId(Uuid::from_slice(&row[ID]).unwrap_or_default()));
                }
            }
            Ok(Some(restore))
        })
    }

    fn read_centroids(&mut self) -> io::Result<Vec<Option<Vec<f32>>>> {
        let mut bytes = Vec::new();
        self.centroids.seek(SeekFrom::Start(0))?;
        self.centroids.read_to_end(&mut bytes)?;
        let centroids = bytes.chunks_exact(self.length * size_of::<f32>() + CHECKSUM).map(|bytes| {
            let numbers = bytes[..self.length * size_of::<f32>()].as_chunks::<4>().0;
            is_sealed(bytes).then(|| numbers.iter().map(|x| f32::from_le_bytes(*x)).collect())
        });
        Ok(centroids.collect())
    }

    fn row_bytes(&self) -> usize {
        HEAD + self.length / 4 + CHECKSUM
    }
}

/// Fills a row, if `copy` finds a code for it.
fn fill(row: &mut [u8], id: ImageId, copy: impl FnOnce(&mut [u8]) -> Option<StoredHead>) {
    let end = row.len() - CHECKSUM;
    let Some(StoredHead { list, scale }) = copy(&mut row[HEAD..end]) else { return };
    row[ID].copy_from_slice(id.0.as_bytes());
    row[LIST].copy_from_slice(&list.to_le_bytes());
    row[SCALE].copy_from_slice(&scale.to_le_bytes());
    let checksum = crc32fast::hash(&row[..end]);
    row[end..].copy_from_slice(&checksum.to_le_bytes());
}

/// Returns the code of a row; `None` if the row is damaged.
fn stored(row: &[u8]) -> Option<StoredCode<'_>> {
    let code = StoredCode {
        list: number(&row[LIST]),
        scale: f32::from_bits(number(&row[SCALE])),
        row: row[HEAD..row.len() - CHECKSUM].into(),
    };
    is_sealed(row).then_some(code)
}

/// Appends the checksum of the bytes.
fn seal(bytes: &mut Vec<u8>) {
    bytes.extend(crc32fast::hash(bytes).to_le_bytes());
}

fn is_sealed(bytes: &[u8]) -> bool {
    bytes.split_last_chunk().is_some_and(|(content, sum)| crc32fast::hash(content) == u32::from_le_bytes(*sum))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Reads chunks of [`CHUNK`] rows and sends them, until the file ends or the receiver is gone.
fn read_chunks(rows: &mut File, row_bytes: usize, sender: &SyncSender<io::Result<Vec<u8>>>) {
    let length = CHUNK as usize * row_bytes;
    let mut read = || {
        let mut bytes = Vec::with_capacity(length);
        Read::by_ref(rows).take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    loop {
        let chunk = read();
        let is_last = !chunk.as_ref().is_ok_and(|bytes: &Vec<u8>| bytes.len() == length);
        if sender.send(chunk).is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_writes_what_changed_and_a_part_of_what_moved() {
        let mut unwritten = Unwritten::default();
        unwritten.add_changed([500, 7, 8, 600]);
        unwritten.add_moved([3, 47, 48, 999]);
        // 4 changed records: the moved ones among the first 16 slots. Those near each other are one range.
        assert_eq!(unwritten.take(1_000), [3..9, 500..501, 600..601]);
        unwritten.add_changed([0]);
        assert_eq!(unwritten.take(1_000), std::slice::from_ref(&(0..1)));
        unwritten.add_changed(200..300);
        assert_eq!(unwritten.take(1_000), [47..49, 200..300]);
        unwritten.add_changed(300..450);
        assert_eq!(unwritten.take(1_000), [300..450, 999..1_000]);
        assert_eq!((unwritten.take(1_000), unwritten.moved.len()), (vec![], 0));
        // After the last slot it begins again.
        unwritten.add_moved([0]);
        unwritten.add_changed([300]);
        assert_eq!(unwritten.take(1_000), [0..1, 300..301]);
    }
}
