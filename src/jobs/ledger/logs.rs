//! What a job says, and what went wrong with which image.

use rusqlite::{OptionalExtension, params};

use super::{Ledger, jobs::parsed};
use crate::domain::{FailureClass, ImageUri, ItemFailure, JobId, Timestamp};
use crate::sqlite::SqliteError;

/// A page of failed items.
#[derive(Clone, Debug)]
pub struct FailurePage {
    /// In the order in which they failed.
    pub failures: Vec<ItemFailure>,
    /// Of the whole job.
    pub total: u64,
    /// The number of the last of them, if there is any.
    pub last: Option<i64>,
    /// Give this as `after` for the next page; `None` at the end.
    pub next: Option<i64>,
}

/// Lines of a job that a reply holds at most, the newest.
const MOST_LINES: u32 = 5_000;

/// Lines of a job that are kept, the newest.
const KEPT_LINES: u32 = 10_000;

/// So many more may be there: the oldest are dropped in steps of this size, not one by one.
const STEP: u32 = 1_000;

impl Ledger {
    /// Adds a line to a job's log, which keeps the newest 10,000 to 11,000.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn log(&self, job: JobId, line: String) -> Result<(), SqliteError> {
        let at = Timestamp::now().to_string();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                all.prepare_cached("INSERT INTO logs(job, at, line) VALUES (?1, ?2, ?3)")?
                    .execute(params![job, at, line])?;
                let logged: Option<u32> = all
                    .prepare_cached("UPDATE jobs SET logged = logged + 1 WHERE id = ?1 RETURNING logged")?
                    .query_row([&job], |row| row.get(0))
                    .optional()?;
                if logged.is_some_and(|logged| logged >= KEPT_LINES + STEP) {
                    all.execute(
                        "DELETE FROM logs WHERE job = ?1 AND id <=
                         (SELECT id FROM logs WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                        params![job, KEPT_LINES],
                    )?;
                    all.execute("UPDATE jobs SET logged = ?2 WHERE id = ?1", params![job, KEPT_LINES])?;
                }
                all.commit()
            })
            .await
    }

    /// The newest lines of a job's log, oldest first, each with its time.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn logs(&self, job: JobId) -> Result<Vec<String>, SqliteError> {
        self.db
            .call(move |db| {
                let mut lines = db
                    .prepare_cached("SELECT at || ' ' || line FROM logs WHERE job = ?1 ORDER BY id DESC LIMIT ?2")?
                    .query_map(params![job.to_string(), MOST_LINES], |row| row.get(0))?
                    .collect::<rusqlite::Result<Vec<String>>>()?;
                lines.reverse();
                Ok(lines)
            })
            .await
    }

    /// Lines of a job's log after the one of that number, oldest first, each with its number.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn log_lines(&self, job: JobId, after: i64) -> Result<Vec<(i64, String)>, SqliteError> {
        self.db
            .call(move |db| {
                db.prepare_cached(
                    "SELECT id, at || ' ' || line FROM logs WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                )?
                .query_map(params![job.to_string(), after, MOST_LINES], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
            })
            .await
    }

    /// The class and the message of the last failed item of a job.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn last_failure(&self, job: JobId) -> Result<Option<String>, SqliteError> {
        self.db
            .call(move |db| {
                db.query_row(
                    "SELECT class || ': ' || message FROM failures WHERE job = ?1 ORDER BY id DESC LIMIT 1",
                    [job.to_string()],
                    |row| row.get(0),
                )
                .optional()
            })
            .await
    }

    /// Failed items of a job, from the one after `after`.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn failures(&self, job: JobId, after: i64, limit: u32) -> Result<FailurePage, SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let total = db.query_row("SELECT count(*) FROM failures WHERE job = ?1", [&job], |row| row.get(0))?;
                let mut rows = db
                    .prepare_cached(
                        "SELECT id, uri, class, message, attempts FROM failures WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                    )?
                    .query_map(params![job, after, limit + 1], |row| {
                        let failure = ItemFailure {
                            uri: parsed(row, 1, |text| ImageUri::parse(text).ok())?,
                            class: parsed(row, 2, FailureClass::from_name)?,
                            message: row.get(3)?,
                            attempts: row.get(4)?,
                        };
                        Ok((row.get(0)?, failure))
                    })?
                    .collect::<rusqlite::Result<Vec<(i64, ItemFailure)>>>()?;
                let more = rows.len() > limit as usize;
                rows.truncate(limit as usize);
                let last = rows.last().map(|(id, _)| *id);
                let next = last.filter(|_| more);
                Ok(FailurePage { failures: rows.into_iter().map(|(_, failure)| failure).collect(), total, last, next })
            })
            .await
    }
}
