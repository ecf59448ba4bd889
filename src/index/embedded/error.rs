//! Errors inside this module, and how they become errors of the port.

use std::io;
use std::path::PathBuf;

use crate::domain::{CollectionName, FailureKind};
use crate::index::IndexError;
use crate::sqlite::{DiskProblem, SqliteError, is_full, is_out_of_space};

use super::NAME;

/// The index cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the index open.
    #[error("the index in {} is open in another process", .0.display())]
    Locked(PathBuf),
    /// The folder or a file in it cannot be used.
    #[error("the index in {}: {source}", folder.display())]
    Io {
        /// The folder of the index.
        folder: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// The SQLite file cannot be used.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    /// A row has content that no version of this program writes.
    #[error("the index in {} is damaged: {what}", folder.display())]
    Damaged {
        /// The folder of the index.
        folder: PathBuf,
        /// What is damaged.
        what: String,
    },
}

/// The error of a call, without the name of the collection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the collection was dropped")]
    Dropped,
    #[error(transparent)]
    Rows(#[from] rusqlite::Error),
    #[error(transparent)]
    Connection(#[from] SqliteError),
    #[error("vectors: {0}")]
    Vectors(#[from] io::Error),
    #[error("damaged: {0}")]
    Damaged(String),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Fault {
    /// Converts this into the error of the port for a call about `collection`.
    pub(super) fn into_index_error(self, collection: &CollectionName) -> IndexError {
        match self {
            Self::Dropped => IndexError::UnknownCollection(collection.clone()),
            Self::Index(error) => error,
            full if full.is_full() => IndexError::store_failed(NAME, FailureKind::Full, full.to_string()),
            damaged if damaged.is_damage() => {
                let detail = format!(
                    "a file of the index in GLIMPSE_DATA_DIR is damaged ({damaged}); restore it from a backup, or drop \
                     the collection `{collection}` and index it again"
                );
                IndexError::store_failed(NAME, FailureKind::Misconfigured, detail)
            }
            other => failed(&other),
        }
    }

    /// Returns whether data on the disk is unreadable. A retry does not change that.
    fn is_damage(&self) -> bool {
        let corrupt = |error: &rusqlite::Error| {
            let code = error.sqlite_error_code();
            matches!(code, Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
        };
        match self {
            Self::Damaged(_) => true,
            Self::Rows(error) => corrupt(error),
            Self::Connection(error) => corrupt(error.sqlite()),
            Self::Vectors(_) | Self::Dropped | Self::Index(_) => false,
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Rows(error) => is_full(error),
            Self::Connection(error) => error.disk() == Some(DiskProblem::NoSpace),
            Self::Vectors(error) => is_out_of_space(error),
            Self::Dropped | Self::Damaged(_) | Self::Index(_) => false,
        }
    }
}

/// Returns the error for a failure of the store itself.
pub(super) fn failed(error: &dyn std::fmt::Display) -> IndexError {
    IndexError::store_failed(NAME, FailureKind::Failed, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Retryable;

    #[test]
    fn damage_is_not_retryable() {
        let corrupt = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), None);
        for fault in [Fault::Damaged("slot 7".to_owned()), Fault::Rows(corrupt)] {
            let error = fault.into_index_error(&CollectionName::parse("c").unwrap());
            assert!(!error.is_retryable() && error.to_string().contains("damaged"), "{error}");
        }
    }

    #[test]
    fn a_full_disk_has_its_own_kind_of_error() {
        let full =
            Fault::Vectors(io::ErrorKind::StorageFull.into()).into_index_error(&CollectionName::parse("c").unwrap());
        assert!(matches!(full, IndexError::Dependency(down) if down.failure == FailureKind::Full));
    }
}
