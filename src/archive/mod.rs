//! Archives of backups: a manifest for each backup, and chunks of files by their hashes, which the backups share.
//!
//! ```text
//! manifests/2026-01-31T03:00:00.123456Z.json    the files of one backup, written last
//! chunks/ab/abcdef…                             bytes of files, named by their SHA-256
//! ```

mod check;
mod folder;
mod manifest;
mod prune;
mod restore;

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::domain::Timestamp;

pub use check::{Checked, Damage, check_chunks};
pub use folder::FolderArchive;
pub use manifest::{ArchivedFile, CHUNK_BYTES, FORMAT, Manifest, chunk_name, digest};
pub use prune::{Pruned, prune};
pub use restore::{DONE_FOLDER, PART_FOLDER, Restored, restore};

/// The folders of an archive.
const MANIFESTS: &str = "manifests/";
const CHUNKS: &str = "chunks/";

/// Where an archive is stored. Names are paths with `/` below its root.
#[async_trait]
pub trait ArchiveStore: Send + Sync {
    /// Returns the place, for messages.
    fn location(&self) -> String;

    /// Returns the names that begin with `prefix`, in any order.
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<String, ArchiveError>>;

    /// Returns whether there is a file of this size.
    async fn exists(&self, name: &str, size: u64) -> Result<bool, ArchiveError>;

    /// Reads a file; `None` if there is none.
    async fn read(&self, name: &str) -> Result<Option<Bytes>, ArchiveError>;

    /// Writes a file whole or not at all. When a manifest was written, it and all earlier files are on the disk.
    async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError>;

    /// Removes a file. It is not an error if there is none.
    async fn remove(&self, name: &str) -> Result<(), ArchiveError>;
}

/// Why an archive cannot be read, written or restored.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file of the archive or of the data folder cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// A bucket cannot be used. The text is that of the client.
    #[error("{location}: {problem}")]
    Bucket {
        /// The bucket and the prefix.
        location: String,
        /// What the client reports.
        problem: String,
    },
    /// Another process writes the archive.
    #[error("another command writes to {}; wait until it ends", .0.display())]
    Locked(PathBuf),
    /// The archive is empty.
    #[error("the archive {0} has no backup; `glimpse backup` makes one")]
    Empty(String),
    /// Every backup is newer.
    #[error("the archive {location} has no backup of {at} or earlier; `glimpse backup list` shows all")]
    NoneBefore {
        /// The place of the archive.
        location: String,
        /// The requested time.
        at: Timestamp,
    },
    /// A manifest cannot be read.
    #[error("the manifest {name} is damaged: {problem}; choose an earlier backup with --at")]
    Manifest {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A newer version of this program wrote the backup.
    #[error(
        "the backup was written by Glimpse {version} ({what} {found}; this version supports {supported}); restore it with \
         that version or a newer one"
    )]
    Newer {
        /// The version that wrote it.
        version: String,
        /// What is newer.
        what: &'static str,
        /// The number in the backup.
        found: u64,
        /// The number of this program.
        supported: u64,
    },
    /// A chunk is missing or damaged.
    #[error("{0}; nothing was restored. `glimpse restore --check` finds all; choose another backup with --at")]
    Damaged(Damage),
    /// The data folder has data.
    #[error(
        "the data folder {} is not empty (it has `{found}`); set GLIMPSE_DATA_DIR to an empty folder, or move its content away",
        folder.display()
    )]
    NotEmpty {
        /// The data folder.
        folder: PathBuf,
        /// A file in it.
        found: String,
    },
    /// The disk is too small.
    #[error("the backup has {needed} bytes, but the disk of {} has {free} bytes free; free some space", folder.display())]
    NoSpace {
        /// The data folder.
        folder: PathBuf,
        /// The size of the backup.
        needed: u64,
        /// The free bytes.
        free: u64,
    },
}

impl ArchiveError {
    pub(crate) fn from_file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}
