//! The slots that changed since the files of an approximate index were synced, in the table `changes_N`. The table exists
//! if the files contain everything else. Triggers fill it.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::domain::ImageId;
use crate::index::embedded::rows;

/// A slot, and the id and the checksum of its record if it has one.
pub(super) type Change = (u32, Option<(ImageId, u32)>);

/// Creates the table and its triggers.
pub(super) fn create(tx: &Transaction<'_>, n: i64) -> rusqlite::Result<()> {
    tx.execute_batch(&format!(
        "CREATE TABLE changes_{n} (slot INTEGER PRIMARY KEY, id BLOB, checksum INTEGER) STRICT;
         CREATE TRIGGER changes_added_{n} AFTER INSERT ON slots_{n} BEGIN
             INSERT OR REPLACE INTO changes_{n} VALUES (new.slot, new.id, new.checksum);
         END;
         CREATE TRIGGER changes_removed_{n} AFTER DELETE ON slots_{n} BEGIN
             INSERT OR REPLACE INTO changes_{n} VALUES (old.slot, NULL, NULL);
         END;"
    ))
}

/// Removes the table and its triggers, if they exist.
pub(in crate::index::embedded) fn remove(tx: &Connection, n: i64) -> rusqlite::Result<()> {
    tx.execute_batch(&format!(
        "DROP TRIGGER IF EXISTS changes_added_{n}; DROP TRIGGER IF EXISTS changes_removed_{n}; DROP TABLE IF EXISTS changes_{n};"
    ))
}

/// Returns the changes in the order of their slots; `None` if the table does not exist.
pub(super) fn read(connection: &Connection, n: i64) -> rusqlite::Result<Option<Vec<Change>>> {
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    let exists = connection.query_row(table, (format!("changes_{n}"),), |_| Ok(())).optional()?;
    if exists.is_none() {
        return Ok(None);
    }
    let mut changes = Vec::new();
    rows::each(connection, &format!("SELECT slot, id, checksum FROM changes_{n} ORDER BY slot"), |row| {
        let checksum: Option<u32> = row.get(2)?;
        let record = checksum.map(|checksum| Ok::<_, rusqlite::Error>((rows::id(row, 1)?, checksum))).transpose()?;
        changes.push((row.get(0)?, record));
        Ok(())
    })?;
    Ok(Some(changes))
}

/// Removes all changes: the files were synced.
pub(super) fn clear(connection: &Connection, n: i64) -> rusqlite::Result<()> {
    connection.prepare_cached(&format!("DELETE FROM changes_{n}"))?.execute(()).map(drop)
}
