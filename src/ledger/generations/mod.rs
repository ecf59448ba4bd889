//! The generations of collections. A collection without a row has one generation, whose name in the stores is that of the
//! collection. `due` has the keys whose records in a generation may be outdated.

pub(crate) mod due;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::{CollectionName, Generation, GenerationState, JobId, Timestamp};

const COLUMNS: &str = "collection, number, physical, state, job, created_at, switched_at, expires_at";

/// A SQL expression: the collection that the name `parameter` belongs to. The name can be that of a generation in the stores.
pub(crate) fn owner_sql(parameter: &str) -> String {
    format!("coalesce((SELECT collection FROM generations WHERE physical = {parameter}), {parameter})")
}

/// Returns every generation of every collection that has more than one.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<Generation>> {
    let sql = format!("SELECT {COLUMNS} FROM generations ORDER BY collection, number");
    db.prepare_cached(&sql)?.query_map((), read_row)?.collect()
}

/// Returns the generations of a collection, in the order of their numbers.
pub(crate) fn list(db: &Connection, collection: &CollectionName) -> rusqlite::Result<Vec<Generation>> {
    let sql = format!("SELECT {COLUMNS} FROM generations WHERE collection = ?1 ORDER BY number");
    db.prepare_cached(&sql)?.query_map([collection], read_row)?.collect()
}

/// Returns the generation with this name in the stores.
pub(crate) fn find(db: &Connection, physical: &CollectionName) -> rusqlite::Result<Option<Generation>> {
    let sql = format!("SELECT {COLUMNS} FROM generations WHERE physical = ?1");
    db.prepare_cached(&sql)?.query_row([physical], read_row).optional()
}

/// Records a generation that is built. Its collection gets a row for the generation that it has already, if it has none.
pub(crate) fn begin(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    number: u32,
    physical: &CollectionName,
    job: JobId,
) -> rusqlite::Result<()> {
    let now = Timestamp::now();
    tx.execute(
        "INSERT INTO generations(collection, number, physical, state, created_at) SELECT ?1, 1, ?1, 'current', ?2
         WHERE NOT EXISTS (SELECT 1 FROM generations WHERE collection = ?1 AND state = 'current')",
        params![collection, now],
    )?;
    tx.execute(
        "INSERT INTO generations(collection, number, physical, state, job, created_at)
         VALUES (?1, ?2, ?3, 'building', ?4, ?5)",
        params![collection, number, physical, job, now],
    )
    .map(drop)
}

/// Records that a store has a generation, and that it is the current one of a collection that the ledger does not know.
pub(crate) fn adopt(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    number: u32,
    physical: &CollectionName,
) -> rusqlite::Result<()> {
    tx.execute(
        "INSERT INTO generations(collection, number, physical, state, created_at, switched_at)
         VALUES (?1, ?2, ?3, 'current', ?4, ?4)",
        params![collection, number, physical, Timestamp::now()],
    )
    .map(drop)
}

/// Records that another job continues to build a generation.
pub(crate) fn set_job(tx: &Transaction<'_>, physical: &CollectionName, job: JobId) -> rusqlite::Result<()> {
    tx.execute("UPDATE generations SET job = ?2 WHERE physical = ?1", params![physical, job]).map(drop)
}

/// Records that a generation is complete.
pub(crate) fn set_ready(tx: &Transaction<'_>, physical: &CollectionName) -> rusqlite::Result<()> {
    tx.execute("UPDATE generations SET state = 'ready' WHERE physical = ?1 AND state = 'building'", [physical])
        .map(drop)
}

/// Makes a generation the current one. The current one becomes the previous one until `expires_at`, and the one before that
/// is dropped after `drop_after`. Returns `false` if the generation is not ready (with `force`, also one that is built can be used).
pub(crate) fn switch(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    number: u32,
    (expires_at, drop_after): (Timestamp, Timestamp),
    force: bool,
) -> rusqlite::Result<bool> {
    let from = if force { "('ready', 'building')" } else { "('ready')" };
    let exists = format!("SELECT 1 FROM generations WHERE collection = ?1 AND number = ?2 AND state IN {from}");
    if !tx.prepare_cached(&exists)?.exists(params![collection, number])? {
        return Ok(false);
    }
    let now = Timestamp::now();
    tx.execute(
        "UPDATE generations SET state = 'dropping', expires_at = ?2 WHERE collection = ?1 AND state = 'previous'",
        params![collection, drop_after],
    )?;
    tx.execute(
        "UPDATE generations SET state = 'previous', expires_at = ?2 WHERE collection = ?1 AND state = 'current'",
        params![collection, expires_at],
    )?;
    set_current(tx, collection, number, now)?;
    Ok(true)
}

/// Makes the previous generation the current one again. The current one becomes ready. Returns the number, or `None` if
/// a previous one does not exist.
pub(crate) fn roll_back(tx: &Transaction<'_>, collection: &CollectionName) -> rusqlite::Result<Option<u32>> {
    let previous = tx
        .query_row("SELECT number FROM generations WHERE collection = ?1 AND state = 'previous'", [collection], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(number) = previous else { return Ok(None) };
    tx.execute("UPDATE generations SET state = 'ready' WHERE collection = ?1 AND state = 'current'", [collection])?;
    set_current(tx, collection, number, Timestamp::now())?;
    Ok(Some(number))
}

fn set_current(tx: &Transaction<'_>, collection: &CollectionName, number: u32, now: Timestamp) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE generations SET state = 'current', switched_at = ?3, expires_at = NULL
         WHERE collection = ?1 AND number = ?2",
        params![collection, number, now],
    )
    .map(drop)
}

/// Marks a generation that is not the current one as being dropped, not before `after`. Returns whether it was marked.
pub(crate) fn begin_drop(tx: &Transaction<'_>, physical: &CollectionName, after: Timestamp) -> rusqlite::Result<bool> {
    due::clear(tx, physical)?;
    let mark = "UPDATE generations SET state = 'dropping', expires_at = ?2 WHERE physical = ?1 AND state <> 'current'";
    Ok(tx.execute(mark, params![physical, after])? == 1)
}

/// Marks every generation of a collection as being dropped, because the collection is dropped.
pub(crate) fn begin_drop_all(
    tx: &Transaction<'_>,
    collection: &CollectionName,
) -> rusqlite::Result<Vec<CollectionName>> {
    let all = list(tx, collection)?;
    tx.execute("UPDATE generations SET state = 'dropping' WHERE collection = ?1", [collection])?;
    for one in &all {
        due::clear(tx, &one.physical)?;
    }
    Ok(all.into_iter().map(|one| one.physical).collect())
}

/// Forgets a generation that every store has dropped. A collection whose only generation is the first has no rows.
pub(crate) fn end_drop(tx: &Transaction<'_>, physical: &CollectionName) -> rusqlite::Result<()> {
    due::clear(tx, physical)?;
    tx.execute("DELETE FROM generations WHERE physical = ?1 AND state = 'dropping'", [physical])?;
    tx.execute(
        "DELETE FROM generations AS only WHERE number = 1 AND state = 'current' AND NOT EXISTS
         (SELECT 1 FROM generations WHERE collection = only.collection AND number <> 1)",
        (),
    )
    .map(drop)
}

/// Returns the generations that are to be dropped at `now`.
pub(crate) fn expired(db: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Generation>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM generations WHERE state IN ('previous', 'dropping') AND expires_at <= ?1 ORDER BY physical"
    );
    db.prepare_cached(&sql)?.query_map([now], read_row)?.collect()
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<Generation> {
    Ok(Generation {
        collection: row.get(0)?,
        number: row.get(1)?,
        physical: row.get(2)?,
        state: row.get::<_, GenerationState>(3)?,
        job: row.get(4)?,
        created_at: row.get(5)?,
        switched_at: row.get(6)?,
        expires_at: row.get(7)?,
    })
}

#[cfg(test)]
mod tests;
