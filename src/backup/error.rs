//! Why a backup of the data folder cannot be read.

use std::io;

use crate::sqlite::{DiskProblem, SqliteError};

/// Why a backup cannot be begun or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is another backup.
    #[error(
        "backup {0} is not ended; wait for it, or end it with DELETE /backups/{0}. It also ends 10 minutes after its last \
         request"
    )]
    Busy(String),
    /// Another request begins a backup at this moment.
    #[error("another request begins a backup at this moment; wait for that backup")]
    Beginning,
    /// The service does not have a backup with this id.
    #[error(
        "the service does not have the backup `{0}`: it was ended, or the service was started again, or it had no request for 10 minutes"
    )]
    Unknown(String),
    /// The backup has no such file.
    #[error("the backup has no file `{0}`")]
    UnknownFile(String),
    /// The cursor is not one of this backup.
    #[error("`{0}` is not a cursor of this backup; take `next` of the page before")]
    Cursor(String),
    /// The data folder's disk is full.
    #[error("the disk of GLIMPSE_DATA_DIR has no space for copies of the databases ({0} bytes); free some space")]
    NoSpace(u64),
    /// The moments of the parts are not the same.
    #[error("the ledger and the stores could not be stopped at the same moment; try again when there is less work")]
    NotPinned,
    /// A database cannot be read or copied.
    #[error(transparent)]
    Database(SqliteError),
    /// A statement failed while a database was copied.
    #[error("the copy of a database: {0}")]
    Copy(#[from] rusqlite::Error),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The path below the data folder.
        path: String,
        /// The error of the file system.
        source: io::Error,
    },
    /// A thread panicked.
    #[error("a thread of the backup panicked; the log has the reason")]
    Panicked,
}

impl BackupError {
    pub(super) fn from_database(error: SqliteError) -> Self {
        match error.disk() {
            Some(DiskProblem::NoSpace) => Self::NoSpace(0),
            _ => Self::Database(error),
        }
    }

    pub(super) fn from_file(path: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }
}
