//! Reads a ledger that was restored from a backup, without upgrading it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{FILE, LedgerError};
use crate::sqlite::SqliteError;

/// Returns the number of API keys in the ledger of a data folder that no service uses. A ledger of an older version has
/// none.
///
/// # Errors
/// Returns [`LedgerError`] if the file cannot be read.
pub fn stored_keys(folder: &Path) -> Result<u64, LedgerError> {
    let path = folder.join(FILE);
    let count = || -> rusqlite::Result<u64> {
        let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let exists = "SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'keys')";
        let has_table: bool = db.query_row(exists, (), |row| row.get(0))?;
        if has_table { db.query_row("SELECT count(*) FROM keys", (), |row| row.get(0)) } else { Ok(0) }
    };
    count().map_err(|error| SqliteError::new(&path, error).into())
}

#[cfg(test)]
mod tests {
    use super::super::Ledger;
    use super::*;

    #[test]
    fn keys_are_counted_and_the_ledger_is_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        drop(Ledger::open(folder.path()).unwrap());
        assert_eq!(stored_keys(folder.path()).unwrap(), 0);
        let db = Connection::open(folder.path().join(FILE)).unwrap();
        db.execute("INSERT INTO keys(name, role, digest, created_at) VALUES ('a', 'admin', x'00', '2026')", ())
            .unwrap();
        assert_eq!(stored_keys(folder.path()).unwrap(), 1);
        db.execute("DROP TABLE keys", ()).unwrap();
        assert_eq!(stored_keys(folder.path()).unwrap(), 0, "a ledger of version 0.1");
        assert!(stored_keys(&folder.path().join("missing")).is_err());
    }
}
