//! The copies of databases and of small files that a backup reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::ffi::{Error, SQLITE_BUSY};
use uuid::Uuid;

use super::BackupError;
use crate::pinned::{PinnedFile, PinnedFiles, PinnedPart};
use crate::sqlite::is_full;

/// Copied files, and the parts without their databases.
type Copied = (Vec<PinnedFile>, Vec<Box<dyn PinnedFiles>>);

/// Files below a folder that are copied; more are an error.
const MAX_FILES: usize = 100_000;

/// A folder with copies. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Staging {
    id: String,
    folder: PathBuf,
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "copies of a backup cannot be removed");
        }
    }
}

impl Staging {
    /// Creates a new folder below `parent`.
    pub(super) fn create(parent: &Path) -> Result<Self, BackupError> {
        let id = Uuid::now_v7().to_string();
        let folder = parent.join(&id);
        let path = folder.display().to_string();
        create_private(&folder).map_err(BackupError::from_file(path))?;
        Ok(Self { id, folder })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies the databases of the parts and the small files of `folders`. Returns the copied files, and the parts
    /// without their databases.
    pub(super) fn copy(&self, parts: Vec<PinnedPart>, data: &Path, folders: &[&str]) -> Result<Copied, BackupError> {
        let mut files = Vec::new();
        // First of all, because these are not pinned.
        for folder in folders {
            self.copy_folder(data, folder, &mut files)?;
        }
        let mut rest = Vec::new();
        for part in parts {
            for (path, connection) in part.databases {
                self.copy_database(&path, &connection)?;
                files.push(self.copied(path)?);
            }
            rest.push(part.files);
        }
        Ok((files, rest))
    }

    fn copy_database(&self, path: &str, from: &Connection) -> Result<(), BackupError> {
        let target = self.target(path)?;
        let copy = || {
            let mut to = Connection::open(&target)?;
            // The copy is of use only to this process.
            to.execute_batch("PRAGMA synchronous = OFF")?;
            // No other connection uses the copy, and the transaction of `from` reads already.
            let outcome = Backup::new(from, &mut to)?.step(-1)?;
            if outcome != StepResult::Done {
                return Err(rusqlite::Error::SqliteFailure(Error::new(SQLITE_BUSY), None));
            }
            to.close().map_err(|(_, error)| error)
        };
        copy().map_err(|error| match error {
            full if is_full(&full) => BackupError::NoSpace(database_bytes(from)),
            other => BackupError::Copy(other),
        })
    }

    fn copy_folder(&self, data: &Path, folder: &str, files: &mut Vec<PinnedFile>) -> Result<(), BackupError> {
        let entries = match fs::read_dir(data.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(BackupError::from_file(folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(BackupError::from_file(folder))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let path = format!("{folder}/{name}");
            if entry.path().is_dir() {
                self.copy_folder(data, &path, files)?;
                continue;
            }
            match fs::copy(entry.path(), self.target(&path)?) {
                // It was replaced.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                copied => copied.map_err(BackupError::from_file(&path))?,
            };
            files.push(self.copied(path)?);
            if files.len() > MAX_FILES {
                return Err(BackupError::File { path: folder.to_owned(), source: io::ErrorKind::FileTooLarge.into() });
            }
        }
        Ok(())
    }

    /// Returns where the copy of a file is written. Its folder exists.
    fn target(&self, path: &str) -> Result<PathBuf, BackupError> {
        let target = self.folder.join(path);
        target.parent().map_or(Ok(()), fs::create_dir_all).map_err(BackupError::from_file(path))?;
        Ok(target)
    }

    fn copied(&self, path: String) -> Result<PinnedFile, BackupError> {
        let size = self.folder.join(&path).metadata().map_err(BackupError::from_file(&path))?.len();
        Ok(PinnedFile { path, size, immutable: false })
    }
}

fn database_bytes(connection: &Connection) -> u64 {
    let value = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0)).unwrap_or_default();
    value("page_count").saturating_mul(value("page_size"))
}

/// Creates a folder that only its owner can read, and those above it.
fn create_private(folder: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(fs::DirBuilder::new().recursive(true), 0o700).create(folder)
}
