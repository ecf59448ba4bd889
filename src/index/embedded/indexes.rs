//! The SQLite indexes for pages of records in an order. With them, a page costs its size; without them, SQLite sorts every
//! record for each page.
//!
//! A new collection is created with them. Collections of earlier versions get them in the background after the start, one
//! index in each call of the writer thread. Searches and lists are possible meanwhile; other writes wait for the index.

use rusqlite::Connection;

/// The key in a payload; NULL for a damaged one. A query must contain the same text to use the index.
pub(super) const S3_KEY: &str = "CASE WHEN json_valid(payload) THEN payload ->> '$.s3_key' END";

/// Creates the indexes of a collection.
pub(super) fn create(connection: &Connection, n: i64) -> rusqlite::Result<()> {
    indexes(n).iter().try_for_each(|(_, sql)| connection.execute_batch(sql))
}

/// Creates one index that a collection does not have. Returns whether there was one to create.
pub(super) fn create_next(connection: &Connection) -> rusqlite::Result<bool> {
    let Some((name, sql)) = next_missing(connection)? else { return Ok(false) };
    let started = std::time::Instant::now();
    connection.execute_batch(&sql)?;
    tracing::info!(index = name, took = ?started.elapsed(), "created an index in index.sqlite");
    Ok(true)
}

/// Whether a collection does not have all indexes.
pub(super) fn is_missing(connection: &Connection) -> rusqlite::Result<bool> {
    next_missing(connection).map(|index| index.is_some())
}

fn next_missing(connection: &Connection) -> rusqlite::Result<Option<(String, String)>> {
    let mut numbers = connection.prepare("SELECT number FROM collections ORDER BY number")?;
    let mut exists = connection.prepare("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?1")?;
    for number in numbers.query_map((), |row| row.get(0))? {
        for (name, sql) in indexes(number?) {
            if !exists.exists((&name,))? {
                return Ok(Some((name, sql)));
            }
        }
    }
    Ok(None)
}

/// Returns the names of the indexes of a collection, and the statements that create them. The indexes have all columns
/// that a page reads before the payloads of its records. New records are at their ends in most cases, because a record at a
/// random place costs a page of the log and a page of the file: times ascend, and records without a time of EXIF, which would be in
/// the order of their random ids, are not in the index of those times. Earlier versions had other indexes.
fn indexes(n: i64) -> [(String, String); 3] {
    let newest =
        format!("CREATE INDEX recent_{n} ON slots_{n} (indexed_at, id DESC, slot); DROP INDEX IF EXISTS newest_{n}");
    let taken = format!(
        "CREATE INDEX dated_{n} ON slots_{n} (taken_at, id DESC, slot) WHERE taken_at IS NOT NULL;
         DROP INDEX IF EXISTS taken_{n}"
    );
    let keys = format!("CREATE INDEX keys_{n} ON payloads_{n} ({S3_KEY})");
    [(format!("recent_{n}"), newest), (format!("dated_{n}"), taken), (format!("keys_{n}"), keys)]
}
