//! The vectors of one collection: a file of rows, written with `write` and read through a memory map. This is the only
//! file that maps memory.
//!
//! The file is written with `write` and not through the map, because a full disk is then an error of one call. A write
//! to a mapped page for which there is no disk space would kill the process.

#![expect(unsafe_code, reason = "the compiler cannot check the borrow of a mapped file")]

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

/// Rows are padded with zeros to a multiple of this, so that the loops over them need no remainder. The dimensions of
/// models (384, 512, 768…) need no padding.
const ROW_UNIT: usize = ivf::LENGTH_UNIT;
/// The file grows by its own size, but by at least 1 MiB and at most 64 MiB.
const GROWTH: std::ops::RangeInclusive<u64> = (1 << 20)..=(64 << 20);

/// Maximum number of rows that one call writes.
const ROWS_PER_WRITE: usize = 512;

/// The writer's side: the file and the newest map of it.
#[derive(Debug)]
pub(super) struct Vectors {
    file: File,
    map: Arc<Map>,
}

impl Vectors {
    /// Opens or creates the file, with space for `slots` rows of `dimension` numbers.
    pub(super) fn open(path: &Path, dimension: usize, slots: u32) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let map = Arc::new(Map::new(&file, dimension)?);
        let mut vectors = Self { file, map };
        vectors.reserve(slots.max(1))?;
        Ok(vectors)
    }

    /// Extends the file to `slots` rows, if it is shorter. Existing maps stay valid.
    pub(super) fn reserve(&mut self, slots: u32) -> io::Result<()> {
        if slots <= self.map.slots {
            return Ok(());
        }
        let row = self.map.row_bytes();
        let old = u64::from(self.map.slots) * row;
        let bytes = (u64::from(slots) * row).max(old + old.clamp(*GROWTH.start(), *GROWTH.end()));
        self.file.set_len(bytes.next_multiple_of(row))?;
        self.map = Arc::new(Map::new(&self.file, self.map.dimension)?);
        Ok(())
    }

    /// Shortens the file to `slots` rows, if it is longer. Readers of longer maps must not read the other rows.
    pub(super) fn shorten(&mut self, slots: u32) -> io::Result<()> {
        let bytes = u64::from(slots.max(1)) * self.map.row_bytes();
        if self.file.metadata()?.len() > bytes {
            self.file.set_len(bytes)?;
            self.map = Arc::new(Map::new(&self.file, self.map.dimension)?);
        }
        Ok(())
    }

    /// Returns the newest map. It covers everything that was reserved.
    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map)
    }

    /// Writes rows; the slots must ascend. Slots that follow each other are written by one call. The caller must ensure that no
    /// reader uses these slots (see `slots.rs`).
    pub(super) fn write<'a>(&mut self, slots: &[u32], rows: impl Iterator<Item = &'a [f32]>) -> io::Result<()> {
        let (mut rows, mut buffer) = (rows, Vec::new());
        for run in slots.chunk_by(|one, next| one + 1 == *next).flat_map(|run| run.chunks(ROWS_PER_WRITE)) {
            buffer.clear();
            for values in rows.by_ref().take(run.len()) {
                buffer.extend_from_slice(bytes(values));
                buffer.resize(buffer.len() + (self.map.stride() - values.len()) * size_of::<f32>(), 0);
            }
            self.file.seek(SeekFrom::Start(u64::from(run[0]) * self.map.row_bytes()))?;
            self.file.write_all(&buffer)?;
        }
        Ok(())
    }

    /// Returns when everything that was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The readers' side: a map of the file with the length that it had when the map was made.
#[derive(Debug)]
pub(super) struct Map {
    /// Raw, because other rows are written while one is read: there must be no reference to the whole map.
    memory: MmapRaw,
    dimension: usize,
    slots: u32,
}

impl Map {
    fn new(file: &File, dimension: usize) -> io::Result<Self> {
        let memory = MmapOptions::new().map_raw_read_only(file)?;
        let mut map = Self { memory, dimension, slots: 0 };
        map.slots = u32::try_from(map.memory.len() as u64 / map.row_bytes()).unwrap_or(u32::MAX);
        Ok(map)
    }

    /// Returns the number of values in a row, padding included.
    pub(super) fn stride(&self) -> usize {
        self.dimension.next_multiple_of(ROW_UNIT).max(ROW_UNIT)
    }

    fn row_bytes(&self) -> u64 {
        (self.stride() * size_of::<f32>()) as u64
    }

    /// Returns the number of rows.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    /// Returns whether the file has a row for the slot.
    pub(super) fn contains(&self, slot: u32) -> bool {
        slot < self.slots
    }

    /// Returns the vector in a slot. The slot must be occupied in the version (see `version.rs`) that has this map.
    pub(super) fn vector(&self, slot: u32) -> &[f32] {
        &self.row(slot)[..self.dimension]
    }

    /// Returns the vector in a slot, padded with zeros. The slot must be occupied in the version that has this map.
    #[expect(clippy::cast_ptr_alignment, reason = "a map begins on a page, and rows are whole lines")]
    pub(super) fn row(&self, slot: u32) -> &[f32] {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        let stride = self.stride();
        // SAFETY: the row is inside the map (asserted above). The map is aligned to a page and the row to its own size,
        // which is a multiple of the size of an f32; every bit pattern is an f32. A slot that is occupied in a version
        // that a reader holds is not written (`slots.rs`), so the memory behind the reference does not change. The lock
        // of the folder keeps other processes out, and this process cuts off only rows that are not occupied in any version
        // that a reader holds (`compact.rs`).
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<f32>().add(slot as usize * stride), stride) }
    }

    /// Returns `query`, padded with zeros to the length of a row.
    pub(super) fn pad(&self, query: &[f32]) -> Vec<f32> {
        let mut padded = query.to_vec();
        padded.resize(self.stride(), 0.0);
        padded
    }

    /// Appends the dot product of the padded `query` with each of these rows to `out`.
    pub(super) fn dots(&self, slots: &[u32], query: &[f32], out: &mut Vec<f32>) {
        out.extend(slots.iter().map(|&slot| ivf::dot(self.row(slot), query)));
    }
}

impl ivf::Vectors for Map {
    fn vector(&self, slot: u32) -> &[f32] {
        self.row(slot)
    }
}

/// Returns the checksum that is stored with each record. It shows whether the vector on the disk is complete.
pub(super) fn checksum(values: &[f32]) -> u32 {
    crc32fast::hash(bytes(values))
}

pub(super) fn bytes(values: &[f32]) -> &[u8] {
    // SAFETY: the same memory, read as bytes, which have no invalid patterns and need no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_definition_for_every_size() {
        let folder = tempfile::tempdir().unwrap();
        for dimension in [1, 2, 15, 16, 17, 63, 64, 65, 100, 512] {
            let mut vectors = Vectors::open(&folder.path().join(dimension.to_string()), dimension, 3).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let row = |seed: usize| (0..dimension).map(|i| ((i * 7 + seed * 13) % 11) as f32 - 5.0).collect::<Vec<_>>();
            for slot in 0..3 {
                vectors.write(&[slot], [row(slot as usize).as_slice()].into_iter()).unwrap();
            }
            let map = vectors.map();
            let query = map.pad(&row(5));
            let mut fast = Vec::new();
            map.dots(&[2, 0, 1], &query, &mut fast);
            for (slot, fast) in [2_u32, 0, 1].into_iter().zip(fast) {
                let exact: f32 = row(slot as usize).iter().zip(&query).map(|(a, b)| a * b).sum();
                // Whole numbers this small add up exactly in any order.
                assert!(fast.to_bits() == exact.to_bits(), "{dimension}");
            }
        }
    }

    #[test]
    fn rows_are_written_to_their_slots() {
        let folder = tempfile::tempdir().unwrap();
        for dimension in [2, 64] {
            let mut vectors = Vectors::open(&folder.path().join(dimension.to_string()), dimension, 2_000).unwrap();
            let rows: Vec<Vec<f32>> = (0..1_200_u16).map(|n| vec![f32::from(n); dimension]).collect();
            let slots: Vec<u32> = (0..1_200).map(|n| if n < 1_100 { n } else { n + 100 }).collect();
            vectors.write(&slots, rows.iter().map(Vec::as_slice)).unwrap();
            let map = vectors.map();
            for (row, slot) in rows.iter().zip(slots) {
                assert_eq!(map.vector(slot), row);
                assert!(map.row(slot)[dimension..].iter().all(|x| x.to_bits() == 0));
            }
        }
    }

    #[test]
    fn a_map_outlives_the_growth_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut vectors = Vectors::open(&folder.path().join("v"), 2, 1).unwrap();
        let row = |values: &'static [f32]| [values].into_iter();
        vectors.write(&[0], row(&[0.6, 0.8])).unwrap();
        let old = vectors.map();
        let more = old.slots + 1;
        vectors.reserve(more).unwrap();
        vectors.write(&[more - 1], row(&[1.0, 0.0])).unwrap();
        assert_eq!(old.vector(0), [0.6, 0.8]);
        assert_eq!(vectors.map().vector(0), [0.6, 0.8]);
        assert_eq!(vectors.map().vector(more - 1), [1.0, 0.0]);
    }
}
