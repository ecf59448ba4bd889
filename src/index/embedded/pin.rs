//! Pins the index for a backup: its rows, and the vectors of every collection at the same moment.
//!
//! A pinned version keeps its slots from being written again (`slots.rs`), so its vectors are read from the file while
//! others are written. A slot without a record reads as zeros: what the file has there changes. The files of approximate
//! indexes are left out, because the next start builds them from the vectors.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::EmbeddedIndex;
use super::folder::Folder;
use super::vectors::bytes;
use super::version::Version;
use crate::pinned::{self, Paused, Pin, PinnedFile, PinnedFiles, PinnedPart};
use crate::sqlite::SqliteError;

/// The name of the folder of the index in the data folder.
const FOLDER: &str = "index";

#[async_trait]
impl Pin for EmbeddedIndex {
    async fn pin(&self, _: bool) -> Result<(PinnedPart, Option<Paused>), SqliteError> {
        let folder = Arc::clone(&self.folder);
        let pin = move || {
            let connection = pinned::begin(&folder.sqlite)?;
            Ok((connection, PinnedVectors::new(folder)))
        };
        let ((connection, vectors), paused) = pinned::pause(&self.folder.sqlite, pin).await?;
        let databases = vec![(format!("{FOLDER}/index.sqlite"), connection)];
        Ok((PinnedPart { databases, files: Box::new(vectors) }, Some(paused)))
    }
}

/// The vectors of all collections at one moment.
struct PinnedVectors {
    /// In the order of their paths.
    collections: Vec<PinnedCollection>,
    /// Keeps the lock of the folder.
    _folder: Arc<Folder>,
}

struct PinnedCollection {
    path: String,
    version: Arc<Version>,
    size: u64,
}

impl PinnedVectors {
    fn new(folder: Arc<Folder>) -> Self {
        let pin = |number: i64, version: Arc<Version>| {
            let slots = version.vacant().1 as usize;
            let size = (slots * version.map().stride() * size_of::<f32>()) as u64;
            PinnedCollection { path: format!("{FOLDER}/{number}.vectors"), version, size }
        };
        let all = folder.all();
        let collections = all.iter().filter_map(|one| one.version().ok().map(|version| pin(one.number(), version)));
        let mut collections: Vec<_> = collections.collect();
        collections.sort_by(|a, b| a.path.cmp(&b.path));
        Self { collections, _folder: folder }
    }
}

impl PinnedFiles for PinnedVectors {
    fn page(&self, _: &Path, cursor: Option<&str>, limit: usize) -> io::Result<(Vec<PinnedFile>, Option<String>)> {
        let after = self.collections.iter().filter(|one| cursor.is_none_or(|cursor| one.path.as_str() > cursor));
        let file = |one: &PinnedCollection| PinnedFile { path: one.path.clone(), size: one.size, immutable: false };
        let files: Vec<_> = after.take(limit).map(file).collect();
        let next = files.last().filter(|_| files.len() == limit).map(|file| file.path.clone());
        Ok((files, next))
    }

    fn read(&self, path: &str, offset: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.collections.iter().find(|one| one.path == path).map(|one| one.read(offset, buffer)).transpose()
    }
}

impl PinnedCollection {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let mut buffer = &mut buffer[..count];
        let map = self.version.map();
        let row_bytes = map.stride() * size_of::<f32>();
        let position = usize::try_from(offset).map_err(io::Error::other)?;
        let (mut slot, mut skipped) = (position / row_bytes, position % row_bytes);
        while !buffer.is_empty() {
            let (row, rest) = buffer.split_at_mut(buffer.len().min(row_bytes - skipped));
            let number = u32::try_from(slot).map_err(io::Error::other)?;
            match self.version.occupant(number) {
                Some(_) => row.copy_from_slice(&bytes(map.row(number))[skipped..skipped + row.len()]),
                None => row.fill(0),
            }
            (buffer, slot, skipped) = (rest, slot + 1, 0);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{open, row};
    use super::*;
    use crate::domain::ImageId;
    use crate::index::ImageIndex;
    use crate::index::shared::example_record;

    #[tokio::test]
    async fn pinned_vectors_and_rows_stay_while_others_are_written() {
        let path = tempfile::tempdir().unwrap();
        let name = {
            let (_folder, mut writer, collection) = open(path.path());
            collection.upsert(&mut writer, (0..100).map(|n| row(n, n)).collect()).unwrap();
            collection.name().clone()
        };
        let index = EmbeddedIndex::open(path.path()).unwrap();
        let (part, paused) = index.pin(true).await.unwrap();
        assert!(paused.unwrap().release());
        let read_all = |part: &PinnedPart| {
            let (files, next) = part.files.page(Path::new("/none"), None, 10).unwrap();
            assert_eq!((files.len(), next), (1, None));
            let mut all = vec![7; usize::try_from(files[0].size).unwrap()];
            // Pieces that do not end with a row.
            for (at, piece) in all.chunks_mut(1_000).enumerate() {
                let count = part.files.read(&files[0].path, at as u64 * 1_000, piece).unwrap();
                assert_eq!(count, Some(piece.len()));
            }
            all
        };
        let before = read_all(&part);
        let removed: Vec<ImageId> = (0..50).map(|n| row(n, n).id).collect();
        index.delete(&name, &removed).await.unwrap();
        for n in 0..200 {
            index.upsert(&name, &[example_record(&format!("{n}.jpg"), vec![0.6, 0.8])]).await.unwrap();
        }
        assert_eq!(read_all(&part), before);
        let rows: u32 = part.databases[0].1.query_row("SELECT count(*) FROM slots_1", (), |row| row.get(0)).unwrap();
        assert_eq!(rows, 100);
        assert_eq!(part.files.read("index/2.vectors", 0, &mut [0]).unwrap(), None);
        assert_eq!(part.files.read("index/1.vectors", before.len() as u64, &mut [0]).unwrap(), Some(0));

        // What was read is a folder that opens without losses.
        let restored = tempfile::tempdir().unwrap();
        std::fs::write(restored.path().join("1.vectors"), &before).unwrap();
        let copy = restored.path().join("index.sqlite");
        part.databases[0].1.backup("main", copy, None).unwrap();
        let restored = EmbeddedIndex::open(restored.path()).unwrap();
        assert!(restored.lost_records().is_empty());
        assert_eq!(restored.describe(&name).await.unwrap().unwrap().count, 100);
    }
}
