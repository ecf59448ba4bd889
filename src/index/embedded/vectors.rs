//! The vectors of one collection: a file of rows, written with `write` and read through a memory map. This is the only
//! file that maps memory.
//!
//! The file is written with `write` and not through the map, because a full disk is then an error of one call. A write
//! to a mapped page for which there is no disk space would kill the process.

#![expect(unsafe_code, reason = "the compiler can check neither the borrow of a mapped file nor the CPU's features")]

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};

/// The number of parallel sums: enough to keep the loads of AVX2 busy (AVX-512 is not faster: memory is the limit).
/// Rows are padded with zeros to a multiple of it, so that the loop needs no remainder, which would push the sums out
/// of their registers. The dimensions of models (384, 512, 768…) need no padding.
const LANES: usize = 64;
/// The file grows by its own size, but by at least 1 MiB and at most 64 MiB.
const GROWTH: std::ops::RangeInclusive<u64> = (1 << 20)..=(64 << 20);

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

    /// Returns the newest map. It covers everything that was reserved.
    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map)
    }

    /// Writes a row. The padding is never written: it is a hole in the file, which reads as zeros. The caller must
    /// ensure that no reader uses this slot (see `slots.rs`).
    pub(super) fn write(&mut self, slot: u32, values: &[f32]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(u64::from(slot) * self.map.row_bytes()))?;
        self.file.write_all(bytes(values))
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
    fn stride(&self) -> usize {
        self.dimension.next_multiple_of(LANES).max(LANES)
    }

    fn row_bytes(&self) -> u64 {
        (self.stride() * size_of::<f32>()) as u64
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
        // of the folder keeps other processes out, and this process never shortens the file.
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
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the CPU has both features, as checked one line above.
            unsafe { dots_avx2(self, slots, query, out) };
            return;
        }
        for &slot in slots {
            out.push(dot(self.row(slot), query, |a, b, sum| a * b + sum));
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dots_avx2(map: &Map, slots: &[u32], query: &[f32], out: &mut Vec<f32>) {
    for &slot in slots {
        out.push(dot(map.row(slot), query, f32::mul_add));
    }
}

/// Returns the dot product of two slices of equal length, a multiple of [`LANES`]. Always inlined, so that it is
/// compiled with the CPU features of its caller.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a function that is called has the features of the baseline")]
fn dot(a: &[f32], b: &[f32], add: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] = add(a[lane], b[lane], sums[lane]);
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0]
}

/// Returns the checksum that is stored with each record. It shows whether the vector on the disk is complete.
pub(super) fn checksum(values: &[f32]) -> u32 {
    crc32fast::hash(bytes(values))
}

fn bytes(values: &[f32]) -> &[u8] {
    // SAFETY: the same memory, read as bytes, which have no invalid patterns and need no alignment.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kernels_agree_with_the_definition_for_every_size() {
        let folder = tempfile::tempdir().unwrap();
        for dimension in [1, 2, 15, 16, 17, 63, 64, 65, 100, 512] {
            let mut vectors = Vectors::open(&folder.path().join(dimension.to_string()), dimension, 3).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let row = |seed: usize| (0..dimension).map(|i| ((i * 7 + seed * 13) % 11) as f32 - 5.0).collect::<Vec<_>>();
            for slot in 0..3 {
                vectors.write(slot, &row(slot as usize)).unwrap();
            }
            let map = vectors.map();
            let query = map.pad(&row(5));
            let mut fast = Vec::new();
            map.dots(&[2, 0, 1], &query, &mut fast);
            for (slot, fast) in [2, 0, 1].into_iter().zip(fast) {
                let exact: f32 = row(slot as usize).iter().zip(&query).map(|(a, b)| a * b).sum();
                let portable = dot(map.row(slot), &query, |a, b, sum| a * b + sum);
                // Whole numbers this small add up exactly in any order.
                assert!(fast.to_bits() == exact.to_bits() && portable.to_bits() == exact.to_bits(), "{dimension}");
            }
        }
    }

    #[test]
    fn a_map_outlives_the_growth_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut vectors = Vectors::open(&folder.path().join("v"), 2, 1).unwrap();
        vectors.write(0, &[0.6, 0.8]).unwrap();
        let old = vectors.map();
        let more = old.slots + 1;
        vectors.reserve(more).unwrap();
        vectors.write(more - 1, &[1.0, 0.0]).unwrap();
        assert_eq!(old.vector(0), [0.6, 0.8]);
        assert_eq!(vectors.map().vector(0), [0.6, 0.8]);
        assert_eq!(vectors.map().vector(more - 1), [1.0, 0.0]);
    }
}
