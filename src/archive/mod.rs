//! Archives of backups: a manifest for each backup, and chunks of files by their hashes, which the backups share.
//!
//! ```text
//! glimpse-archive.json                                the marker of an archive, written first
//! manifests/2026-01-31T03:00:00.123456Z.012345….json  the files of one backup, written last; the name has its SHA-256
//! chunks/ab/abcdef…                                   bytes of files, named by their SHA-256
//! ```

mod archived_file;
mod check;
mod chunk_index;
mod files;
mod folder;
mod manifest;
mod marker;
mod prune;
mod restore;

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;

use crate::domain::Timestamp;

pub use archived_file::{ArchivedFile, CHUNK_BYTES, chunk_name, digest};
pub use check::{Checked, Damage, DamageState, check_chunks};
pub use chunk_index::ChunkIndex;
pub use folder::FolderArchive;
pub use manifest::{FORMAT, Manifest};
pub use prune::{Pruned, prune};
pub use restore::{DONE_FOLDER, PART_FOLDER, Restored, restore};

/// The folders of an archive.
const MANIFESTS: &str = "manifests/";
const CHUNKS: &str = "chunks/";

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its name.
    pub name: String,
    /// Its size in bytes; `None` if it is not a regular file.
    pub size: Option<u64>,
}

/// Where an archive is stored. Names are paths with `/` below its root.
#[async_trait]
pub trait ArchiveStore: Send + Sync {
    /// Returns the place, for messages.
    fn location(&self) -> String;

    /// Returns what is in a folder of an archive, or everything if `prefix` is empty, in any order.
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ArchiveEntry, ArchiveError>>;

    /// Reads a file; `None` if there is none. Reads at most one byte more than a chunk can have.
    async fn read(&self, name: &str) -> Result<Option<Bytes>, ArchiveError>;

    /// Writes a file whole or not at all. When a manifest was written, it and all earlier files are on the disk.
    async fn write(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError>;

    /// Removes a file. It is not an error if there is none.
    async fn remove(&self, name: &str) -> Result<(), ArchiveError>;

    /// Fails if the place has files but no marker of an archive, so that the files of users are not changed. Writes
    /// nothing.
    async fn check(&self) -> Result<(), ArchiveError> {
        if let Some(bytes) = self.read(marker::MARKER).await? {
            return marker::check(&self.location(), &bytes);
        }
        match self.list("").try_next().await? {
            None => Ok(()),
            Some(entry) => Err(ArchiveError::NotAnArchive { location: self.location(), found: entry.name }),
        }
    }

    /// Checks the place, and prepares it to be written: creates it and writes the marker if it is new.
    async fn claim(&mut self) -> Result<(), ArchiveError> {
        self.check().await?;
        match self.read(marker::MARKER).await? {
            Some(_) => Ok(()),
            None => self.write(marker::MARKER, marker::content()).await,
        }
    }
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
    /// The place has files, but is not an archive.
    #[error(
        "{location} is not an archive of backups: it has `{found}`, but not the file glimpse-archive.json. Nothing was \
         changed; choose an empty or new folder or prefix"
    )]
    NotAnArchive {
        /// The place.
        location: String,
        /// A file in it.
        found: String,
    },
    /// The folder of an archive that is read does not exist.
    #[error("the folder {} does not exist; `glimpse backup` creates an archive", .0.display())]
    NoFolder(PathBuf),
    /// The marker of an archive cannot be read.
    #[error(
        "the file glimpse-archive.json of {location} is damaged: {problem}; if the place is an archive of backups, write \
         {content} to the file"
    )]
    Marker {
        /// The place.
        location: String,
        /// What is wrong.
        problem: String,
        /// What the file must contain.
        content: String,
    },
    /// A file of an archive is a pipe, a device, a link or a folder.
    #[error("{} is not a regular file; remove it. The next backup writes the chunks that it needs", .0.display())]
    NotAFile(PathBuf),
    /// The service sent a list of files that could not be restored.
    #[error("the backup could not be restored, and was not completed: {0}; update the service and this program")]
    Unusable(String),
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
    #[error(
        "the manifest {name} is damaged: {problem}; choose another backup with --at. `glimpse backup list` shows all, and \
         `glimpse backup --verify` makes a new one"
    )]
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
    #[error(
        "{0}; nothing was restored. `glimpse restore --check` finds all. If the service still has the data, `glimpse backup \
         --verify` repairs the archive; otherwise choose another backup with --at"
    )]
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
