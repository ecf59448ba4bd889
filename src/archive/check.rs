//! Checks the chunks of a backup.

use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::archived_file::{ArchivedFile, chunk_name, digest};
use super::manifest::Manifest;
use super::{ArchiveError, ArchiveStore};

/// The most damaged chunks that are named.
const MAX_NAMED: usize = 100;
/// Chunks that are read at the same time.
const READERS: usize = 8;

/// What is wrong with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageState {
    /// The archive does not have it.
    Missing,
    /// It has other bytes.
    Damaged,
    /// It is a pipe, a device, a link or a folder, which is not read.
    NotAFile,
}

/// A chunk that is missing or damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The name of the chunk in the archive.
    pub chunk: String,
    /// The file that needs it.
    pub path: String,
    /// What is wrong.
    pub state: DamageState,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            DamageState::Missing => "is missing",
            DamageState::Damaged => "is damaged",
            DamageState::NotAFile => "is not a regular file",
        };
        write!(f, "the chunk {} of the file {} {state}", self.chunk, self.path)
    }
}

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Files that were checked.
    pub files: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Number of damaged and missing chunks.
    pub damaged: u64,
    /// The first 100 of them.
    pub named: Vec<Damage>,
}

/// Reads a chunk and compares it with its hash and its size.
pub(super) async fn read_chunk(
    archive: &dyn ArchiveStore,
    path: &str,
    hash: &str,
    size: u64,
) -> Result<Result<Bytes, Damage>, ArchiveError> {
    let chunk = chunk_name(hash);
    let state = match archive.read(&chunk).await {
        Ok(Some(bytes)) if bytes.len() as u64 == size && digest(&bytes) == hash => return Ok(Ok(bytes)),
        Ok(Some(_)) => DamageState::Damaged,
        Ok(None) => DamageState::Missing,
        Err(ArchiveError::NotAFile(_)) => DamageState::NotAFile,
        Err(error) => return Err(error),
    };
    Ok(Err(Damage { chunk, path: path.to_owned(), state }))
}

/// Reads every chunk of a backup.
///
/// # Errors
/// Returns [`ArchiveError`] if the archive cannot be read.
pub async fn check_chunks(archive: &dyn ArchiveStore, manifest: &Manifest) -> Result<Checked, ArchiveError> {
    let mut checked = Checked { files: manifest.files.len() as u64, ..Checked::default() };
    let chunks = |file: &'_ ArchivedFile| {
        let path = file.path.clone();
        let chunks: Vec<(String, u64)> = file.sized_chunks().map(|(hash, size)| (hash.to_owned(), size)).collect();
        chunks.into_iter().map(move |(hash, size)| (path.clone(), hash, size))
    };
    let all = stream::iter(manifest.files.iter().flat_map(chunks));
    let read = all.map(|(path, hash, size)| async move { read_chunk(archive, &path, &hash, size).await });
    let mut read = read.buffered(READERS);
    while let Some(outcome) = read.next().await {
        match outcome? {
            Ok(bytes) => checked.bytes += bytes.len() as u64,
            Err(damage) => {
                checked.damaged += 1;
                if checked.named.len() < MAX_NAMED {
                    checked.named.push(damage);
                }
            }
        }
    }
    Ok(checked)
}
