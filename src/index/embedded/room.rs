//! The space that `index.sqlite` takes: what dropped collections leave is removed and given back to the disk in steps, so
//! that nothing else waits for it for long.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

use crate::sqlite::is_full;

/// Rows that are removed in one step.
const ROWS: u32 = 4_000;
/// Pages (4 kB each) that are given back in one step.
const PAGES: u32 = 1_024;
/// SQLite's name for giving pages back when it is asked to.
const INCREMENTAL: i64 = 2;
/// A file of version 0.1 is rewritten at the opening if it holds at most so many bytes besides free space.
const REWRITTEN: i64 = 256 << 20;
/// The log is cut to this length when it begins anew.
const LOG_BYTES: i64 = 64 << 20;
/// How long an opening, or the drop of a collection, works at it before others go on with it.
pub(super) const AT_ONCE: Duration = Duration::from_secs(1);

/// Prepares a file for giving pages back: a new one, or one of version 0.1, which is rewritten once for it. A large one
/// is not rewritten before half of it is free, because nothing can be searched meanwhile.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    if number(connection, "auto_vacuum")? == INCREMENTAL {
        return Ok(());
    }
    let (pages, free) = (number(connection, "page_count")?, number(connection, "freelist_count")?);
    let bytes = (pages - free).saturating_mul(number(connection, "page_size")?);
    if bytes > REWRITTEN && free < pages / 2 {
        return Ok(());
    }
    let begun = Instant::now();
    connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    match connection.execute_batch("VACUUM") {
        Ok(()) if pages > 1 => tracing::info!(bytes, took = ?begun.elapsed(), "index.sqlite was rewritten"),
        Ok(()) => {}
        // It is as good as before.
        Err(error) if is_full(&error) => tracing::warn!(%error, bytes, "there is no space to rewrite index.sqlite"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Removes some rows of a dropped collection, or gives some free pages back. Answers with whether more is to be done.
pub(super) fn step(connection: &Connection) -> rusqlite::Result<bool> {
    if let Some((table, key)) = left_behind(connection)? {
        let sql = format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} LIMIT {ROWS})");
        if connection.execute(&sql, ())? == 0 {
            connection.execute_batch(&format!("DROP TABLE {table}"))?;
        }
        return Ok(true);
    }
    let free = number(connection, "freelist_count")?;
    if free == 0 || number(connection, "auto_vacuum")? != INCREMENTAL {
        return Ok(false);
    }
    // A page a row: it ends when all rows were asked for.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = vacuum.query(())?;
    while rows.next()?.is_some() {}
    let left = number(connection, "freelist_count")?;
    Ok(left > 0 && left < free)
}

/// Whether a step would do something.
pub(super) fn is_needed(connection: &Connection) -> rusqlite::Result<bool> {
    let gives_back = number(connection, "auto_vacuum")? == INCREMENTAL;
    Ok(left_behind(connection)?.is_some() || gives_back && number(connection, "freelist_count")? > i64::from(PAGES))
}

/// A table of a collection that is not there any more, and its key.
fn left_behind(connection: &Connection) -> rusqlite::Result<Option<(String, &'static str)>> {
    for (kind, key) in [("terms_", "term, slot"), ("payloads_", "slot"), ("records_", "id")] {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB ?1 || '[0-9]*'
             AND CAST(substr(name, length(?1) + 1) AS INTEGER) NOT IN (SELECT number FROM collections) LIMIT 1";
        let found: Option<String> = connection.query_row(sql, (kind,), |row| row.get(0)).optional()?;
        if let Some(table) = found {
            return Ok(Some((table, key)));
        }
    }
    Ok(None)
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}
