//! Checks the chunks of a backup.

use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::manifest::{ArchivedFile, Manifest, chunk_name, digest};
use super::{ArchiveError, ArchiveStore};

/// The most damaged chunks that are named.
const MAX_NAMED: usize = 100;
/// Chunks that are read at the same time.
const READERS: usize = 8;

/// A chunk that is missing or damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The name of the chunk in the archive.
    pub chunk: String,
    /// The file that needs it.
    pub path: String,
    /// Whether it is missing.
    pub is_missing: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_missing { "is missing" } else { "is damaged" };
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

/// Reads a chunk and compares it with its hash.
pub(super) async fn read_chunk(
    archive: &dyn ArchiveStore,
    path: &str,
    hash: &str,
) -> Result<Result<Bytes, Damage>, ArchiveError> {
    let chunk = chunk_name(hash);
    let damage = |is_missing| Damage { chunk: chunk.clone(), path: path.to_owned(), is_missing };
    Ok(match archive.read(&chunk).await? {
        None => Err(damage(true)),
        Some(bytes) if digest(&bytes) == hash => Ok(bytes),
        Some(_) => Err(damage(false)),
    })
}

/// Reads every chunk of a backup.
///
/// # Errors
/// Returns [`ArchiveError`] if the archive cannot be read.
pub async fn check_chunks(archive: &dyn ArchiveStore, manifest: &Manifest) -> Result<Checked, ArchiveError> {
    let mut checked = Checked { files: manifest.files.len() as u64, ..Checked::default() };
    let chunks = |file: &'_ ArchivedFile| {
        let path = file.path.clone();
        let hashes: Vec<String> = file.chunks.clone();
        hashes.into_iter().map(move |hash| (path.clone(), hash))
    };
    let all = stream::iter(manifest.files.iter().flat_map(chunks));
    let mut read = all.map(|(path, hash)| async move { read_chunk(archive, &path, &hash).await }).buffered(READERS);
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
