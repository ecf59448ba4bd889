//! Why a file with vectors cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why a file with vectors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The file or folder cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// A row is not an image that can be imported. The rows after it can be read.
    #[error("{}: row {row}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The number of the row, from 1.
        row: u64,
        /// What is wrong.
        problem: String,
    },
    /// The content is damaged, or not what this version can read.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl ExchangeError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(super) fn row(path: &Path, row: u64, problem: impl Into<String>) -> Self {
        Self::Row { path: path.to_owned(), row, problem: problem.into() }
    }

    pub(super) fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.into() }
    }
}
