//! Files of objects that were replaced or deleted, and that a backup still reads. They are removed after it.

use std::sync::{Arc, Mutex, Weak};

use rusqlite::Connection;

use super::files::Files;
use crate::lock::lock;

/// The kept files, which are also in the table `loose`: if the process ends, the next start removes them.
const SCHEMA: &str = "CREATE TEMP TABLE kept(file TEXT PRIMARY KEY) STRICT, WITHOUT ROWID";
/// Files that one step removes.
const FILES_PER_STEP: usize = 500;

/// Decides whether a file is removed or kept. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptFiles(Arc<Mutex<Weak<()>>>);

impl KeptFiles {
    /// Creates the table, on the connection of the catalogue.
    pub(super) fn create_table(connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(SCHEMA)
    }

    /// Keeps all files from now on, until what is returned is dropped.
    pub(super) fn keep(&self) -> Arc<()> {
        let mut current = lock(&self.0);
        current.upgrade().unwrap_or_else(|| {
            let new = Arc::new(());
            *current = Arc::downgrade(&new);
            new
        })
    }

    fn is_active(&self) -> bool {
        lock(&self.0).strong_count() > 0
    }

    /// Removes a file that is in the table `loose`, or keeps it.
    pub(super) fn remove(&self, connection: &Connection, files: &Files, file: &str) -> rusqlite::Result<()> {
        if self.is_active() {
            return connection.execute("INSERT OR IGNORE INTO temp.kept VALUES (?1)", [file]).map(drop);
        }
        files.remove(file);
        connection.execute("DELETE FROM loose WHERE file = ?1", [file]).map(drop)
    }

    /// Removes some of the files that were kept. Returns whether there are more.
    pub(super) fn remove_some(&self, connection: &mut Connection, files: &Files) -> rusqlite::Result<bool> {
        if self.is_active() {
            return Ok(false);
        }
        let mut select = connection.prepare_cached("SELECT file FROM temp.kept LIMIT ?1")?;
        let kept = select.query_map([FILES_PER_STEP], |row| row.get(0))?;
        let kept: Vec<String> = kept.collect::<rusqlite::Result<_>>()?;
        drop(select);
        let transaction = connection.transaction()?;
        for file in &kept {
            files.remove(file);
            transaction.execute("DELETE FROM loose WHERE file = ?1", [file])?;
            transaction.execute("DELETE FROM temp.kept WHERE file = ?1", [file])?;
        }
        transaction.commit()?;
        Ok(kept.len() == FILES_PER_STEP)
    }
}
