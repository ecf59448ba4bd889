//! The slots that changed since the files of an approximate index were synced, in the table `changed_N`: ranges of slots, because
//! new records are side by side. The table exists if the files contain everything else.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::domain::ImageId;
use crate::index::embedded::rows;

/// A slot, and the id and the checksum of its record if it has one.
pub(super) type Change = (u32, Option<(ImageId, u32)>);

/// Creates the table.
pub(super) fn create(tx: &Transaction<'_>, n: i64) -> rusqlite::Result<()> {
    tx.execute_batch(&format!("CREATE TABLE changed_{n} (first INTEGER NOT NULL, last INTEGER NOT NULL) STRICT"))
}

/// Removes the table, if it exists.
pub(in crate::index::embedded) fn remove(tx: &Connection, n: i64) -> rusqlite::Result<()> {
    tx.execute_batch(&format!("DROP TABLE IF EXISTS changed_{n}; {}", drop_old(n)))
}

/// Returns the statements that remove the table of an earlier version, which had a row for each slot, and its triggers.
fn drop_old(n: i64) -> String {
    format!(
        "DROP TRIGGER IF EXISTS changes_added_{n}; DROP TRIGGER IF EXISTS changes_removed_{n}; DROP TABLE IF EXISTS changes_{n};"
    )
}

/// Replaces the table of an earlier version, if it exists.
pub(in crate::index::embedded) fn upgrade(connection: &mut Connection, n: i64) -> rusqlite::Result<()> {
    if !exists(connection, &format!("changes_{n}"))? {
        return Ok(());
    }
    let tx = connection.transaction()?;
    create(&tx, n)?;
    tx.execute_batch(&format!("INSERT INTO changed_{n} SELECT slot, slot FROM changes_{n}; {}", drop_old(n)))?;
    tx.commit()
}

fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let mut select = connection.prepare_cached("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1")?;
    select.exists((table,))
}

/// Records that these slots changed. Does nothing if the table does not exist.
pub(in crate::index::embedded) fn add(tx: &Transaction<'_>, n: i64, slots: &[u32]) -> rusqlite::Result<()> {
    if slots.is_empty() || !exists(tx, &format!("changed_{n}"))? {
        return Ok(());
    }
    let mut insert = tx.prepare_cached(&format!("INSERT INTO changed_{n} VALUES (?1, ?2)"))?;
    let mut runs = slots.chunk_by(|slot, next| slot + 1 == *next);
    runs.try_for_each(|run| insert.execute((run[0], run[run.len() - 1])).map(drop))
}

/// Returns the changes in the order of their slots; `None` if the table does not exist.
pub(super) fn read(connection: &Connection, n: i64) -> rusqlite::Result<Option<Vec<Change>>> {
    if !exists(connection, &format!("changed_{n}"))? {
        return Ok(None);
    }
    let mut slots: Vec<u32> = Vec::new();
    rows::each(connection, &format!("SELECT first, last FROM changed_{n}"), |row| {
        slots.extend(row.get::<_, u32>(0)?..=row.get::<_, u32>(1)?);
        Ok(())
    })?;
    slots.sort_unstable();
    slots.dedup();
    let mut record = connection.prepare(&format!("SELECT id, checksum FROM slots_{n} WHERE slot = ?1"))?;
    let mut change = |slot: u32| {
        let found = record.query_row((slot,), |row| Ok((rows::id(row, 0)?, row.get(1)?))).optional()?;
        Ok((slot, found))
    };
    slots.into_iter().map(&mut change).collect::<rusqlite::Result<_>>().map(Some)
}

/// Removes all changes: the files were synced.
pub(super) fn clear(connection: &Connection, n: i64) -> rusqlite::Result<()> {
    connection.prepare_cached(&format!("DELETE FROM changed_{n}"))?.execute(()).map(drop)
}
