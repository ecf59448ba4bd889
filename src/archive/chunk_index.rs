//! Which chunks an archive has, so that a backup sends those that are missing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;

use super::archived_file::{ArchivedFile, chunk_name, parse_hash};
use super::check::read_chunk;
use super::{ArchiveError, ArchiveStore, CHUNKS};
use crate::lock::lock;

/// The state of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has this size.
    Listed(u64),
    /// It has this size, and its content was read or written.
    Checked(u64),
    /// A backup needs it, but it is missing or damaged.
    Damaged,
}

/// The chunks of an archive, from one listing.
pub struct ChunkIndex<'a> {
    archive: &'a dyn ArchiveStore,
    /// Whether the content of a chunk is read before the chunk is used again.
    is_verified: bool,
    chunks: Mutex<HashMap<[u8; 32], State>>,
    new_bytes: AtomicU64,
    repaired: AtomicU64,
}

impl fmt::Debug for ChunkIndex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkIndex").field("archive", &self.archive.location()).finish_non_exhaustive()
    }
}

impl<'a> ChunkIndex<'a> {
    /// Lists the chunks of an archive. With `verify`, each chunk is read before it is used again.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if the archive cannot be listed.
    pub async fn open(archive: &'a dyn ArchiveStore, verify: bool) -> Result<Self, ArchiveError> {
        let mut chunks = HashMap::new();
        let mut entries = archive.list(CHUNKS);
        while let Some(entry) = entries.try_next().await? {
            let hash = entry.name.rsplit('/').next().and_then(parse_hash);
            // A chunk in another folder is not found by its name.
            if let Some(hash) = hash.filter(|hash| chunk_name(&hex::encode(hash)) == entry.name) {
                chunks.insert(hash, entry.size.map_or(State::Damaged, State::Listed));
            }
        }
        drop(entries);
        let (new_bytes, repaired) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { archive, is_verified: verify, chunks: Mutex::new(chunks), new_bytes, repaired })
    }

    /// Returns whether a chunk with this size does not need to be written.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if the archive cannot be read.
    pub async fn contains(&self, hash: &str, size: u64) -> Result<bool, ArchiveError> {
        let Some(key) = parse_hash(hash) else { return Ok(false) };
        let state = lock(&self.chunks).get(&key).copied();
        let state = match state {
            None | Some(State::Damaged) => return Ok(false),
            Some(State::Checked(found)) => return Ok(found == size),
            Some(State::Listed(found)) if found != size => State::Damaged,
            Some(State::Listed(_)) if !self.is_verified => return Ok(true),
            Some(State::Listed(_)) => match read_chunk(self.archive, hash, hash, size).await? {
                Ok(_) => State::Checked(size),
                Err(_) => State::Damaged,
            },
        };
        lock(&self.chunks).insert(key, state);
        Ok(state != State::Damaged)
    }

    /// Returns whether the archive has all chunks of a file of an earlier backup.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if the archive cannot be read.
    pub async fn contains_file(&self, file: &ArchivedFile) -> Result<bool, ArchiveError> {
        let mut is_whole = true;
        for (hash, size) in file.sized_chunks() {
            if !self.contains(hash, size).await? {
                is_whole = false;
                if let Some(key) = parse_hash(hash) {
                    lock(&self.chunks).insert(key, State::Damaged);
                }
            }
        }
        Ok(is_whole)
    }

    /// Writes a chunk.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if it cannot be written.
    pub async fn write(&self, hash: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        let size = bytes.len() as u64;
        self.archive.write(&chunk_name(hash), bytes).await?;
        self.new_bytes.fetch_add(size, Ordering::Relaxed);
        let before = parse_hash(hash).and_then(|key| lock(&self.chunks).insert(key, State::Checked(size)));
        if before == Some(State::Damaged) {
            self.repaired.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns the bytes that were written.
    pub fn new_bytes(&self) -> u64 {
        self.new_bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of chunks that earlier backups have and that were written again.
    pub fn repaired(&self) -> u64 {
        self.repaired.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::manifest::tests::manifest;
    use super::super::{FolderArchive, digest};
    use super::*;

    #[tokio::test]
    async fn missing_chunks_and_those_of_another_size_are_written_again_and_verify_finds_damaged_ones() {
        let folder = tempfile::tempdir().unwrap();
        let archive = FolderArchive::open_to_write(folder.path()).await.unwrap();
        let chunks = [&b"whole"[..], b"short", b"flipped", b"missing", b"linked"];
        let backup = manifest(1, &chunks.map(|bytes| (std::str::from_utf8(bytes).unwrap(), bytes)));
        for bytes in chunks {
            archive.write(&chunk_name(&digest(bytes)), Bytes::from_static(bytes)).await.unwrap();
        }
        let path = |bytes: &[u8]| folder.path().join(chunk_name(&digest(bytes)));
        fs::write(path(b"short"), "shor").unwrap();
        fs::write(path(b"flipped"), "flippee").unwrap();
        fs::remove_file(path(b"missing")).unwrap();
        fs::remove_file(path(b"linked")).unwrap();
        std::os::unix::fs::symlink(path(b"whole"), path(b"linked")).unwrap();
        for (verify, expected) in [(false, 3), (true, 1)] {
            let index = ChunkIndex::open(&archive, verify).await.unwrap();
            for (bytes, file) in chunks.iter().zip(&backup.files) {
                if !index.contains_file(file).await.unwrap() {
                    index.write(&file.chunks[0], Bytes::from_static(bytes)).await.unwrap();
                }
                assert!(index.contains_file(file).await.unwrap(), "{verify} {file:?}");
            }
            assert_eq!(index.repaired(), expected);
        }
        for bytes in chunks {
            assert_eq!(fs::read(path(bytes)).unwrap(), bytes);
            assert!(path(bytes).symlink_metadata().unwrap().is_file());
        }
    }
}
