//! Brings the tables of earlier versions up to date, once, when the folder is opened.

use std::time::Instant;

use rusqlite::{Connection, OptionalExtension};

use super::lists::changes;
use super::rows::{self, EXIF_COLUMNS};

/// Rewrites the table of records of a collection by slot: earlier versions had it by id. The index of the newest records and
/// the approximate index are built again in the background.
/// Does nothing if that is done already.
pub(super) fn upgrade(connection: &mut Connection, n: i64) -> rusqlite::Result<()> {
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    let is_old = connection.query_row(table, (format!("records_{n}"),), |_| Ok(())).optional()?.is_some();
    if !is_old {
        changes::upgrade(connection, n)?;
        return add_columns(connection, n);
    }
    let started = Instant::now();
    tracing::info!(collection = n, "rewrites the table of a collection of an earlier version; this happens once");
    let tx = connection.transaction()?;
    changes::remove(&tx, n)?;
    tx.execute_batch(&format!(
        "DROP TRIGGER IF EXISTS changes_replaced_{n};
         {};
         INSERT OR REPLACE INTO slots_{n} (slot, id, checksum, format, width, height, indexed_at) SELECT slot, id, checksum, format, width, height, indexed_at
             FROM records_{n} ORDER BY slot;
         DROP TABLE records_{n};",
        rows::slots_table(n)
    ))?;
    tx.commit()?;
    tracing::info!(collection = n, took = ?started.elapsed(), "rewrote the table");
    Ok(())
}

/// Adds the columns for facts of EXIF to the table of a collection that does not have them. SQLite does not write the rows again.
fn add_columns(connection: &Connection, n: i64) -> rusqlite::Result<()> {
    let mut exists = connection.prepare("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")?;
    for column in EXIF_COLUMNS {
        if !exists.exists((format!("slots_{n}"), column))? {
            connection.execute_batch(&format!("ALTER TABLE slots_{n} ADD COLUMN {column} INTEGER"))?;
        }
    }
    Ok(())
}
