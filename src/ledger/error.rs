//! Why the ledger could not be read or written.

use crate::sqlite::{DiskProblem, SqliteError};

/// Why the ledger could not be read or written. Only [`LedgerError::Failed`] is permanent: the other causes can end
/// without a change to the file.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The disk or a quota is full.
    #[error(transparent)]
    Full(SqliteError),
    /// The file or its file system is read-only.
    #[error(transparent)]
    ReadOnly(SqliteError),
    /// Another process holds the lock of the file.
    #[error(transparent)]
    Busy(SqliteError),
    /// The disk cannot be read or written.
    #[error(transparent)]
    Disk(SqliteError),
    /// A statement failed, or the file cannot be used.
    #[error(transparent)]
    Failed(SqliteError),
}

impl LedgerError {
    /// Whether the same call can succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

impl From<SqliteError> for LedgerError {
    fn from(error: SqliteError) -> Self {
        match error.disk() {
            Some(DiskProblem::NoSpace) => Self::Full(error),
            Some(DiskProblem::ReadOnly) => Self::ReadOnly(error),
            Some(DiskProblem::Locked) => Self::Busy(error),
            Some(DiskProblem::Failing) => Self::Disk(error),
            None => Self::Failed(error),
        }
    }
}
