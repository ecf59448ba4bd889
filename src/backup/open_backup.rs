//! A backup that clients read: its files in pages, the hashes of their chunks, and the chunks.

use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::staging::Staging;
use super::{BackupError, IDLE_TIMEOUT};
use crate::domain::Timestamp;
use crate::lock::lock;
use crate::pinned::{PinnedFile, PinnedFiles, read_at};

/// The size of a chunk in bytes; the last one of a file is shorter.
pub const CHUNK_BYTES: usize = 1 << 20;
/// The most files of a page.
const FILES_PER_PAGE: usize = 1_000;
/// The most hashes of a page.
const HASHES_PER_PAGE: u64 = 256;
/// The most requests that read files at the same time.
const READERS: usize = 8;

/// A page of files.
#[derive(Clone, Debug)]
pub struct FilePage {
    /// The files; there may be none on a page that is not the last one.
    pub files: Vec<PinnedFile>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// A page of the chunks of a file.
#[derive(Clone, Debug)]
pub struct ChunkPage {
    /// The SHA-256 in hexadecimal and the size of each chunk.
    pub chunks: Vec<(String, usize)>,
    /// The number of the first chunk of the next page; `None` at the end.
    pub next: Option<u64>,
}

/// A chunk.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Its bytes; none after the end of the file.
    pub bytes: Bytes,
    /// Their SHA-256 in hexadecimal.
    pub sha256: String,
}

/// A backup that was begun.
pub struct OpenBackup {
    created_at: Timestamp,
    objects: bool,
    left_out: Vec<String>,
    files: Arc<BackupFiles>,
    last_request: Mutex<Instant>,
    readers: Semaphore,
}

/// Copies of databases, and files that are pinned.
struct BackupFiles {
    copies: Vec<PinnedFile>,
    parts: Vec<Box<dyn PinnedFiles>>,
    staging: Staging,
}

impl std::fmt::Debug for OpenBackup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBackup").field("staging", &self.files.staging).finish_non_exhaustive()
    }
}

impl OpenBackup {
    pub(super) fn new(
        staging: Staging,
        copies: Vec<PinnedFile>,
        parts: Vec<Box<dyn PinnedFiles>>,
        objects: bool,
        left_out: Vec<String>,
    ) -> Self {
        Self {
            created_at: Timestamp::now(),
            objects,
            left_out,
            files: Arc::new(BackupFiles { copies, parts, staging }),
            last_request: Mutex::new(Instant::now()),
            readers: Semaphore::new(READERS),
        }
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        self.files.staging.id()
    }

    /// Returns when it was begun.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Returns whether it has the objects of the bucket.
    pub fn has_objects(&self) -> bool {
        self.objects
    }

    /// Returns what is not in it.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    pub(super) fn touch(&self) {
        *lock(&self.last_request) = Instant::now();
    }

    pub(super) fn is_idle(&self) -> bool {
        lock(&self.last_request).elapsed() > IDLE_TIMEOUT
    }

    /// Returns a page of files.
    ///
    /// # Errors
    /// Returns [`BackupError`] if the cursor is not one of this backup, or if files cannot be listed.
    pub async fn files(&self, cursor: Option<String>) -> Result<FilePage, BackupError> {
        self.read(move |files| files.page(cursor)).await
    }

    /// Returns the hashes of chunks of a file, from this number on.
    ///
    /// # Errors
    /// Returns [`BackupError`] if the file is not in the backup or cannot be read.
    pub async fn chunks(&self, path: String, from: u64) -> Result<ChunkPage, BackupError> {
        self.read(move |files| files.hashes(&path, from)).await
    }

    /// Returns a chunk of a file.
    ///
    /// # Errors
    /// Returns [`BackupError`] if the file is not in the backup or cannot be read.
    pub async fn chunk(&self, path: String, number: u64) -> Result<Chunk, BackupError> {
        self.read(move |files| {
            let mut buffer = vec![0; CHUNK_BYTES];
            let count = files.read(&path, number, &mut buffer)?;
            buffer.truncate(count);
            let sha256 = hex::encode(Sha256::digest(&buffer));
            Ok(Chunk { bytes: buffer.into(), sha256 })
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&BackupFiles) -> Result<T, BackupError> + Send + 'static,
    ) -> Result<T, BackupError> {
        // The semaphore is never closed.
        let _permit = self.readers.acquire().await.map_err(|_| BackupError::Panicked)?;
        let files = Arc::clone(&self.files);
        tokio::task::spawn_blocking(move || call(&files)).await.map_err(|_| BackupError::Panicked)?
    }
}

impl BackupFiles {
    /// A cursor is the number of a part and the cursor of its files: `2:bucket/key`. The copies are part 0.
    fn page(&self, cursor: Option<String>) -> Result<FilePage, BackupError> {
        let cursor = cursor.unwrap_or_else(|| "0".to_owned());
        let (number, inner) =
            cursor.split_once(':').map_or((cursor.as_str(), None), |(number, inner)| (number, Some(inner)));
        let wrong = || BackupError::Cursor(cursor.clone());
        let number: usize = number.parse().map_err(|_| wrong())?;
        let (files, next) = match number.checked_sub(1) {
            None => {
                let first: usize = inner.unwrap_or("0").parse().map_err(|_| wrong())?;
                let files: Vec<_> = self.copies.iter().skip(first).take(FILES_PER_PAGE).cloned().collect();
                let end = first.saturating_add(files.len());
                (files, (end < self.copies.len()).then(|| end.to_string()))
            }
            Some(part) => {
                let part = self.parts.get(part).ok_or_else(wrong)?;
                part.page(self.staging.folder(), inner, FILES_PER_PAGE).map_err(BackupError::from_file("files"))?
            }
        };
        let next_part = || (number < self.parts.len()).then(|| (number + 1).to_string());
        Ok(FilePage { files, next: next.map(|inner| format!("{number}:{inner}")).or_else(next_part) })
    }

    fn hashes(&self, path: &str, from: u64) -> Result<ChunkPage, BackupError> {
        let (mut chunks, mut buffer) = (Vec::new(), vec![0; CHUNK_BYTES]);
        for number in 0..HASHES_PER_PAGE {
            let count = self.read(path, from.saturating_add(number), &mut buffer)?;
            if count > 0 {
                chunks.push((hex::encode(Sha256::digest(&buffer[..count])), count));
            }
            if count < CHUNK_BYTES {
                return Ok(ChunkPage { chunks, next: None });
            }
        }
        Ok(ChunkPage { chunks, next: Some(from.saturating_add(HASHES_PER_PAGE)) })
    }

    fn read(&self, path: &str, number: u64, buffer: &mut [u8]) -> Result<usize, BackupError> {
        let offset = number.saturating_mul(CHUNK_BYTES as u64);
        if self.copies.iter().any(|copy| copy.path == path) {
            let mut read = || read_at(&File::open(self.staging.folder().join(path))?, offset, buffer);
            return read().map_err(BackupError::from_file(path));
        }
        for part in &self.parts {
            if let Some(count) = part.read(path, offset, buffer).map_err(BackupError::from_file(path))? {
                return Ok(count);
            }
        }
        Err(BackupError::UnknownFile(path.to_owned()))
    }
}
