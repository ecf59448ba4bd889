//! The ranges of keys that a job lists side by side. Each range has its own position, which is recorded with its pages,
//! so that an interrupted job continues each of them. Together, the ranges contain all keys that are not listed yet:
//! only a complete range is removed.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::JobId;

/// A range of keys, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    /// The range begins after this key. It identifies the range within its job.
    pub(crate) after: String,
    /// The last key that belongs to the range; `None` if the range ends with the job's prefix.
    pub(crate) through: Option<String>,
    /// The last key of the range that was recorded.
    pub(crate) listed_through: Option<String>,
}

impl KeyRange {
    /// Returns the key after which the listing of the range continues.
    pub(crate) fn position(&self) -> &str {
        self.listed_through.as_ref().unwrap_or(&self.after)
    }
}

/// Makes one range of all keys after the last one that the job has listed.
pub(crate) fn begin(tx: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    let sql =
        "INSERT OR IGNORE INTO ranges(job, after) SELECT id, coalesce(listed_through, '') FROM jobs WHERE id = ?1";
    tx.execute(sql, [job]).map(drop)
}

/// Returns the ranges of a job that are not complete, in the order of their keys. A job that lists in one lane has none.
pub(crate) fn list(db: &Connection, job: JobId) -> rusqlite::Result<Vec<KeyRange>> {
    db.prepare_cached("SELECT after, through, listed_through FROM ranges WHERE job = ?1 ORDER BY after")?
        .query_map([job], read_row)?
        .collect()
}

pub(super) fn find(db: &Connection, job: JobId, after: &str) -> rusqlite::Result<Option<KeyRange>> {
    db.prepare_cached("SELECT after, through, listed_through FROM ranges WHERE job = ?1 AND after = ?2")?
        .query_row(params![job, after], read_row)
        .optional()
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<KeyRange> {
    Ok(KeyRange { after: row.get(0)?, through: row.get(1)?, listed_through: row.get(2)? })
}

/// Splits a range at `keys`, which are ascending: each of them is the last key of one range, and the next range begins
/// after it. Returns the new ranges; none, and changes nothing, if a key is not between the position of the range and
/// its end.
pub(crate) fn split(tx: &Transaction<'_>, job: JobId, after: &str, keys: &[String]) -> rusqlite::Result<Vec<KeyRange>> {
    let Some(range) = find(tx, job, after)? else { return Ok(Vec::new()) };
    let ends = || keys.iter().skip(1).map(Some).chain([range.through.as_ref()]);
    let ascends = keys.first().is_some_and(|first| first.as_str() > range.position())
        && keys.iter().zip(ends()).all(|(key, end)| end.is_none_or(|end| key < end));
    if !ascends {
        return Ok(Vec::new());
    }
    tx.prepare_cached("UPDATE ranges SET through = ?3 WHERE job = ?1 AND after = ?2")?.execute(params![
        job,
        after,
        keys.first()
    ])?;
    let mut insert = tx.prepare_cached("INSERT INTO ranges(job, after, through) VALUES (?1, ?2, ?3)")?;
    let mut new = Vec::new();
    for (key, end) in keys.iter().zip(ends()) {
        insert.execute(params![job, key, end])?;
        new.push(KeyRange { after: key.clone(), through: end.cloned(), listed_through: None });
    }
    Ok(new)
}

/// Removes a complete range. With the last one, the listing of the job is complete.
pub(super) fn remove(tx: &Transaction<'_>, job: JobId, after: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM ranges WHERE job = ?1 AND after = ?2", params![job, after])?;
    let sql = "UPDATE jobs SET planned = 1 WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM ranges WHERE job = ?1)";
    tx.execute(sql, [job]).map(drop)
}

#[cfg(test)]
#[path = "ranges_tests.rs"]
mod tests;
