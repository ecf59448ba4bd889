//! The failed images of a job.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::{ItemFailure, JobId};

/// A page of failed items.
#[derive(Clone, Debug)]
pub struct FailurePage {
    /// The failed items, in the order in which they failed.
    pub failures: Vec<ItemFailure>,
    /// Number of failed items of the whole job.
    pub total: u64,
    /// The number of the last item of the page, if there is one.
    pub last: Option<i64>,
    /// The value of `after` for the next page; `None` at the end.
    pub next: Option<i64>,
}

pub(crate) fn add(tx: &Transaction<'_>, job: JobId, failure: &ItemFailure) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO failures(job, uri, class, message, attempts) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![job, failure.uri, failure.class, failure.message, failure.attempts])
        .map(drop)
}

/// Returns failed items of a job, from the one after the number `after`.
pub(crate) fn page(db: &Connection, job: JobId, after: i64, limit: u32) -> rusqlite::Result<FailurePage> {
    // This count is kept up to date with each failure: counting the rows for each page would get slower with every
    // failure.
    let total = db.query_row("SELECT failed FROM jobs WHERE id = ?1", [job], |row| row.get(0)).optional()?;
    let mut rows = db
        .prepare_cached(
            "SELECT id, uri, class, message, attempts FROM failures WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?
        .query_map(params![job, after, limit + 1], |row| {
            let (uri, class) = (row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, ItemFailure { uri, class, message: row.get(3)?, attempts: row.get(4)? }))
        })?
        .collect::<rusqlite::Result<Vec<(i64, ItemFailure)>>>()?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last = rows.last().map(|(id, _)| *id);
    let failures = rows.into_iter().map(|(_, failure)| failure).collect();
    Ok(FailurePage { failures, total: total.unwrap_or_default(), last, next: last.filter(|_| more) })
}

/// Returns the class and the message of the last failed item of a job.
pub(crate) fn last(db: &Connection, job: JobId) -> rusqlite::Result<Option<String>> {
    db.query_row(
        "SELECT class || ': ' || message FROM failures WHERE job = ?1 ORDER BY id DESC LIMIT 1",
        [job],
        |row| row.get(0),
    )
    .optional()
}
