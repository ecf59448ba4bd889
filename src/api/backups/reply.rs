//! The replies about backups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::backup::{ChunkPage, FilePage, OpenBackup};
use crate::ledger;
use crate::pinned::PinnedFile;

/// A backup that was begun.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BackupReply {
    /// The id.
    pub id: String,
    /// The moment of the data, RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The version of the service.
    pub version: String,
    /// The version of the ledger. A service with an older ledger cannot restore the backup.
    pub ledger_version: u64,
    /// Whether the backup has the objects of the embedded bucket.
    pub objects: bool,
    /// What is not in the backup.
    pub left_out: Vec<String>,
    /// The seconds without a request after which the backup ends.
    pub idle_timeout_s: u64,
}

impl BackupReply {
    pub(super) fn new(backup: &OpenBackup) -> Self {
        Self {
            id: backup.id().to_owned(),
            created_at: backup.created_at().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ledger_version: ledger::VERSION as u64,
            objects: backup.has_objects(),
            left_out: backup.left_out().to_vec(),
            idle_timeout_s: crate::backup::IDLE_TIMEOUT.as_secs(),
        }
    }
}

/// The end of a backup.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EndedBackupReply {
    /// The id.
    pub id: String,
    /// `ended`
    pub status: String,
}

/// A page of the files of a backup.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BackupFilesReply {
    /// The files.
    pub files: Vec<BackupFileReply>,
    /// The cursor of the next page; absent at the end.
    pub next: Option<String>,
}

/// A file of a backup.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BackupFileReply {
    /// The path below the data folder.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// Whether the file never changes: if an earlier backup has a file with this path, it has the same bytes.
    pub immutable: bool,
}

impl From<FilePage> for BackupFilesReply {
    fn from(page: FilePage) -> Self {
        let file = |PinnedFile { path, size, immutable }| BackupFileReply { path, size, immutable };
        Self { files: page.files.into_iter().map(file).collect(), next: page.next }
    }
}

/// A page of the chunks of a file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BackupChunksReply {
    /// The chunks, in the order of the file.
    pub chunks: Vec<BackupChunkReply>,
    /// The number of the first chunk of the next page; absent at the end.
    pub next: Option<u64>,
}

/// A chunk of a file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BackupChunkReply {
    /// The SHA-256, in hexadecimal.
    pub sha256: String,
    /// The size in bytes.
    pub size: u64,
}

impl From<ChunkPage> for BackupChunksReply {
    fn from(page: ChunkPage) -> Self {
        let chunk = |(sha256, size): (String, usize)| BackupChunkReply { sha256, size: size as u64 };
        Self { chunks: page.chunks.into_iter().map(chunk).collect(), next: page.next }
    }
}
