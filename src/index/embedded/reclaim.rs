//! Reclaims space in `index.sqlite`: the rows of dropped collections are removed, and their pages are returned to the
//! disk, in steps, so that other writes do not wait for long.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

use crate::sqlite::is_full;

/// Rows that one step removes.
const ROWS_PER_STEP: u32 = 4_000;
/// Pages (4 kB each) that one step returns to the disk.
const PAGES_PER_STEP: u32 = 1_024;
/// The value of SQLite's `auto_vacuum` with which pages are returned on request.
const INCREMENTAL: i64 = 2;
/// A file of version 0.1 is rewritten at the start if it has at most this number of bytes in use.
const MAX_REWRITE_BYTES: i64 = 256 << 20;
/// The write-ahead log is truncated to this number of bytes when it restarts.
const WAL_BYTES: i64 = 64 << 20;
/// How long the drop of a collection waits for its space to be reclaimed; the rest is done in the background.
pub(super) const RECLAIM_WAIT: Duration = Duration::from_secs(1);

/// Prepares the file so that it can return pages to the disk. A file of version 0.1 is rewritten once for that. A large
/// file is not rewritten until half of it is free, because searches are not possible during the rewrite.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    if pragma_value(connection, "auto_vacuum")? == INCREMENTAL {
        return Ok(());
    }
    let (pages, free) = (pragma_value(connection, "page_count")?, pragma_value(connection, "freelist_count")?);
    let bytes = (pages - free).saturating_mul(pragma_value(connection, "page_size")?);
    if bytes > MAX_REWRITE_BYTES && free < pages / 2 {
        return Ok(());
    }
    let started = Instant::now();
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    match connection.execute_batch("VACUUM") {
        Ok(()) if pages > 1 => tracing::info!(bytes, took = ?started.elapsed(), "rewrote index.sqlite"),
        Ok(()) => {}
        // The file is unchanged and still usable.
        Err(error) if is_full(&error) => {
            tracing::warn!(%error, bytes, "not enough disk space to rewrite index.sqlite; the file is used as it is");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Removes some rows of a dropped collection, or returns some free pages to the disk. Returns whether there is more to
/// do.
pub(super) fn step(connection: &Connection) -> rusqlite::Result<bool> {
    if let Some((table, key)) = leftover_table(connection)? {
        let sql = format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} LIMIT {ROWS_PER_STEP})");
        if connection.execute(&sql, ())? == 0 {
            connection.execute_batch(&format!("DROP TABLE {table}"))?;
        }
        return Ok(true);
    }
    let free = pragma_value(connection, "freelist_count")?;
    if free == 0 || pragma_value(connection, "auto_vacuum")? != INCREMENTAL {
        return Ok(false);
    }
    // The statement frees one page for each row that is read, so all rows are read.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})"))?;
    let mut rows = vacuum.query(())?;
    while rows.next()?.is_some() {}
    let left = pragma_value(connection, "freelist_count")?;
    Ok(left > 0 && left < free)
}

/// Returns whether there is work for [`step`].
pub(super) fn is_needed(connection: &Connection) -> rusqlite::Result<bool> {
    let incremental = pragma_value(connection, "auto_vacuum")? == INCREMENTAL;
    Ok(leftover_table(connection)?.is_some()
        || incremental && pragma_value(connection, "freelist_count")? > i64::from(PAGES_PER_STEP))
}

/// Returns a table of a collection that no longer exists, and the columns of its key.
fn leftover_table(connection: &Connection) -> rusqlite::Result<Option<(String, &'static str)>> {
    for (kind, key) in [("terms_", "term, slot"), ("payloads_", "slot"), ("slots_", "slot"), ("records_", "id")] {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB ?1 || '[0-9]*'
             AND CAST(substr(name, length(?1) + 1) AS INTEGER) NOT IN (SELECT number FROM collections) LIMIT 1";
        let found: Option<String> = connection.query_row(sql, (kind,), |row| row.get(0)).optional()?;
        if let Some(table) = found {
            return Ok(Some((table, key)));
        }
    }
    Ok(None)
}

fn pragma_value(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}
