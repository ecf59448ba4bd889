//! The manifest of one backup.

use bytes::Bytes;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ArchiveError, ArchiveStore, CHUNKS, MANIFESTS};
use crate::domain::Timestamp;

/// The newest format of manifests that this program writes and reads.
pub const FORMAT: u64 = 1;
/// The size of a chunk in bytes; the last one of a file is shorter.
pub const CHUNK_BYTES: u64 = 1 << 20;

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of this manifest.
    pub format: u64,
    /// The version of the service.
    pub version: String,
    /// The version of the ledger.
    pub ledger_version: u64,
    /// The moment of the data.
    pub created_at: Timestamp,
    /// Whether it has the objects of the embedded bucket.
    pub objects: bool,
    /// What is not in it.
    pub left_out: Vec<String>,
    /// The files.
    pub files: Vec<ArchivedFile>,
}

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

/// What is read before the rest of a manifest.
#[derive(Deserialize)]
struct Head {
    format: u64,
    version: String,
}

impl ArchivedFile {
    /// Returns the hash and the size of each chunk.
    pub fn sized_chunks(&self) -> impl Iterator<Item = (&str, u64)> {
        let size = |at: u64| self.size.saturating_sub(at * CHUNK_BYTES).min(CHUNK_BYTES);
        (0..).zip(&self.chunks).map(move |(at, hash)| (hash.as_str(), size(at)))
    }

    /// Returns what is wrong with a file of a manifest: a path that leads out of the folder, a hash that is not one, or
    /// a size that is not that of the chunks.
    fn problem(&self) -> Option<String> {
        let is_name = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\0', '\\']);
        if !self.path.split('/').all(is_name) {
            return Some(format!("the path `{}` is not allowed", self.path));
        }
        if let Some(hash) = self.chunks.iter().find(|hash| !is_hash(hash)) {
            return Some(format!("`{hash}` of {} is not a SHA-256", self.path));
        }
        let chunks = self.size.div_ceil(CHUNK_BYTES);
        (chunks != self.chunks.len() as u64)
            .then(|| format!("{} has {} chunks instead of {chunks}", self.path, self.chunks.len()))
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the SHA-256 of bytes in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns the name of a chunk in an archive.
pub fn chunk_name(hash: &str) -> String {
    format!("{CHUNKS}{}/{hash}", hash.get(..2).unwrap_or_default())
}

impl Manifest {
    /// Returns the size of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Returns its name in an archive. Names sort in the order of time.
    pub fn name(&self) -> String {
        format!("{MANIFESTS}{}.json", self.created_at)
    }

    /// Returns the names of the manifests of an archive, the oldest first.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if the archive cannot be listed.
    pub async fn names(archive: &dyn ArchiveStore) -> Result<Vec<String>, ArchiveError> {
        let mut names: Vec<String> = archive.list(MANIFESTS).try_collect().await?;
        names.retain(|name| created_at(name).is_some());
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the newest manifest of `at` or earlier.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if there is none, or if it cannot be read.
    pub async fn find(archive: &dyn ArchiveStore, at: Option<Timestamp>) -> Result<Self, ArchiveError> {
        let names = Self::names(archive).await?;
        let is_in_time = |name: &&String| at.is_none_or(|at| created_at(name).is_some_and(|created| created <= at));
        match (names.iter().rfind(is_in_time), at) {
            (Some(name), _) => Self::read(archive, name).await,
            (None, Some(at)) if !names.is_empty() => Err(ArchiveError::NoneBefore { location: archive.location(), at }),
            (None, _) => Err(ArchiveError::Empty(archive.location())),
        }
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if it cannot be read, is damaged, or has a newer format.
    pub async fn read(archive: &dyn ArchiveStore, name: &str) -> Result<Self, ArchiveError> {
        let damaged = |problem: String| ArchiveError::Manifest { name: name.to_owned(), problem };
        let bytes = archive.read(name).await?.ok_or_else(|| damaged("it does not exist".to_owned()))?;
        Self::parse(&bytes).map_err(|error| match error {
            Invalid::Newer(format, version) => {
                ArchiveError::Newer { version, what: "format", found: format, supported: FORMAT }
            }
            Invalid::Damaged(problem) => damaged(problem),
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let damaged = |error: serde_json::Error| Invalid::Damaged(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
        if head.format > FORMAT {
            return Err(Invalid::Newer(head.format, head.version));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        match manifest.files.iter().find_map(ArchivedFile::problem) {
            Some(problem) => Err(Invalid::Damaged(problem)),
            None => Ok(manifest),
        }
    }

    /// Writes the manifest. Its chunks must have been written before.
    ///
    /// # Errors
    /// Returns [`ArchiveError`] if it cannot be written.
    pub async fn write(&self, archive: &dyn ArchiveStore) -> Result<(), ArchiveError> {
        let name = self.name();
        let bytes = serde_json::to_vec(self)
            .map_err(|error| ArchiveError::Manifest { name: name.clone(), problem: error.to_string() })?;
        archive.write(&name, Bytes::from(bytes)).await
    }
}

/// Why bytes are not a manifest.
#[derive(Debug)]
enum Invalid {
    Newer(u64, String),
    Damaged(String),
}

/// Returns the time in the name of a manifest.
fn created_at(name: &str) -> Option<Timestamp> {
    Timestamp::parse(name.strip_prefix(MANIFESTS)?.strip_suffix(".json")?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::archive) fn manifest(seconds: i64, files: &[(&str, &[u8])]) -> Manifest {
        let file = |(path, bytes): &(&str, &[u8])| ArchivedFile {
            path: (*path).to_owned(),
            size: bytes.len() as u64,
            immutable: false,
            chunks: bytes.chunks(1 << 20).map(digest).collect(),
        };
        Manifest {
            format: FORMAT,
            version: "0.0.0".to_owned(),
            ledger_version: 1,
            created_at: Timestamp::from_unix_seconds(seconds).unwrap(),
            objects: true,
            left_out: Vec::new(),
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn a_manifest_with_paths_out_of_the_folder_or_wrong_sizes_is_refused() {
        let large = vec![7; 3 << 20];
        let valid = manifest(0, &[("a/b", &large), ("empty", b"")]);
        let written = serde_json::to_vec(&valid).unwrap();
        assert_eq!(Manifest::parse(&written).unwrap(), valid);
        let change = |change: fn(&mut Manifest)| {
            let mut manifest = valid.clone();
            change(&mut manifest);
            Manifest::parse(&serde_json::to_vec(&manifest).unwrap()).unwrap_err()
        };
        for (wrong, expected) in [
            (change(|m| m.files[0].path = "../a".to_owned()), "`../a`"),
            (change(|m| m.files[0].path = "/a".to_owned()), "`/a`"),
            (change(|m| m.files[0].path = String::new()), "``"),
            (change(|m| m.files[0].chunks[0] = "../../a".to_owned()), "not a SHA-256"),
            (change(|m| m.files[0].size += 1), "3 chunks instead of 4"),
        ] {
            assert!(matches!(&wrong, Invalid::Damaged(problem) if problem.contains(expected)), "{wrong:?}");
        }
        let newer = change(|m| m.format = FORMAT + 1);
        assert!(matches!(newer, Invalid::Newer(format, _) if format == FORMAT + 1));
    }
}
