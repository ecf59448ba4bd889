//! A file of a backup, and the hashes of its chunks.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{CHUNKS, DONE_FOLDER, PART_FOLDER};

/// The size of a chunk in bytes; the last one of a file is shorter.
pub const CHUNK_BYTES: u64 = 1 << 20;

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedFile {
    /// The path below the data folder.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// Whether a file with this path always has the same bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
    /// The SHA-256 of each chunk, in hexadecimal.
    pub chunks: Vec<String>,
}

impl ArchivedFile {
    /// Returns the hash and the size of each chunk.
    pub fn sized_chunks(&self) -> impl Iterator<Item = (&str, u64)> {
        let size = |at: u64| self.size.saturating_sub(at * CHUNK_BYTES).min(CHUNK_BYTES);
        (0..).zip(&self.chunks).map(move |(at, hash)| (hash.as_str(), size(at)))
    }

    /// Returns what is wrong with a file of a manifest: a path that leads out of the folder or is used by a restore, a hash
    /// that is not one, or a size that is not that of the chunks.
    pub(super) fn problem(&self) -> Option<String> {
        let is_name = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\\']);
        let first = self.path.split('/').next().unwrap_or_default();
        // A restore lists these names, one in a line.
        let is_own = first.starts_with('.') || first.contains(char::is_control);
        let is_own = is_own || first.starts_with(PART_FOLDER) || first.starts_with(DONE_FOLDER);
        if is_own || !self.path.split('/').all(is_name) {
            return Some(format!("the path `{}` is not allowed", self.path.escape_debug()));
        }
        if let Some(hash) = self.chunks.iter().find(|hash| !is_hash(hash)) {
            return Some(format!("`{hash}` of {} is not a SHA-256", self.path));
        }
        let chunks = self.size.div_ceil(CHUNK_BYTES);
        (chunks != self.chunks.len() as u64)
            .then(|| format!("{} has {} chunks instead of {chunks}", self.path, self.chunks.len()))
    }
}

pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the bytes of a SHA-256 in hexadecimal; `None` if it is not one.
pub(super) fn parse_hash(hash: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hash, &mut bytes).ok().map(|()| bytes)
}

/// Returns the SHA-256 of bytes in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns the name of a chunk in an archive.
pub fn chunk_name(hash: &str) -> String {
    format!("{CHUNKS}{}/{hash}", hash.get(..2).unwrap_or_default())
}
