//! The log of a job, and its failed images.

use rusqlite::{OptionalExtension, params};

use crate::domain::{FailureClass, ImageUri, ItemFailure, JobId, Timestamp};
use crate::ledger::Ledger;
use crate::ledger::jobs::parse_column;
use crate::sqlite::SqliteError;

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

/// A page of a job's log, oldest line first.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// The lines with their numbers. Later lines have greater numbers.
    pub lines: Vec<(i64, String)>,
    /// Whether there are older lines that did not fit into the page.
    pub older: bool,
    /// Whether there are newer lines.
    pub more: bool,
}

/// Maximum number of lines in a page.
const MAX_LINES: u32 = 5_000;

/// How many of the newest lines of a job are kept.
const KEPT_LINES: u32 = 10_000;

/// How many lines more than [`KEPT_LINES`] can be stored before the oldest are deleted together, instead of one by one.
const MAX_SURPLUS_LINES: u32 = 1_000;

impl Ledger {
    /// Adds a line to a job's log, which keeps the newest 10,000 to 11,000.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn log(&self, job: JobId, line: String) -> Result<(), SqliteError> {
        self.log_all(job, vec![line]).await
    }

    /// Adds lines to a job's log, in one transaction.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn log_all(&self, job: JobId, lines: Vec<String>) -> Result<(), SqliteError> {
        let at = Timestamp::now().to_string();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                for line in &lines {
                    tx.prepare_cached("INSERT INTO logs(job, at, line) VALUES (?1, ?2, ?3)")?
                        .execute(params![job, at, line])?;
                }
                let logged: Option<u32> = tx
                    .prepare_cached("UPDATE jobs SET logged = logged + ?2 WHERE id = ?1 RETURNING logged")?
                    .query_row(params![job, lines.len()], |row| row.get(0))
                    .optional()?;
                if logged.is_some_and(|logged| logged >= KEPT_LINES + MAX_SURPLUS_LINES) {
                    tx.execute(
                        "DELETE FROM logs WHERE job = ?1 AND id <=
                         (SELECT id FROM logs WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                        params![job, KEPT_LINES],
                    )?;
                    tx.execute("UPDATE jobs SET logged = ?2 WHERE id = ?1", params![job, KEPT_LINES])?;
                }
                tx.commit()
            })
            .await
    }

    /// Adds a line to a job's log, unless the log contains the same line, or `max_lines` lines that begin with `kind`.
    /// Returns whether it was added.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn log_once(
        &self,
        job: JobId,
        kind: &'static str,
        line: String,
        max_lines: u32,
    ) -> Result<bool, SqliteError> {
        let existing = {
            let (job, line) = (job.to_string(), line.clone());
            self.db.call(move |db| {
                db.prepare_cached(
                    "SELECT count(*), coalesce(max(line = ?2), 0) FROM logs WHERE job = ?1 AND substr(line, 1, ?4) = ?3",
                )?
                .query_row(params![job, line, kind, kind.chars().count()], |row| Ok((row.get(0)?, row.get(1)?)))
            })
        };
        let (count, has): (u32, bool) = existing.await?;
        if has || count >= max_lines {
            return Ok(false);
        }
        self.log(job, line).await?;
        Ok(true)
    }

    /// Returns at most 5,000 lines of a job's log, each with its time: those after the line with the number `after`, or
    /// the newest lines if it is `None`.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn logs(&self, job: JobId, after: Option<i64>) -> Result<LogPage, SqliteError> {
        self.reader
            .call(move |db| {
                let order = if after.is_some() { "ASC" } else { "DESC" };
                let sql = format!(
                    "SELECT id, at || ' ' || line FROM logs WHERE job = ?1 AND id > ?2 ORDER BY id {order} LIMIT ?3"
                );
                let mut lines = db
                    .prepare_cached(&sql)?
                    .query_map(params![job.to_string(), after.unwrap_or(0), MAX_LINES + 1], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })?
                    .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
                let cut = lines.len() > MAX_LINES as usize;
                lines.truncate(MAX_LINES as usize);
                if after.is_none() {
                    lines.reverse();
                }
                Ok(LogPage { older: cut && after.is_none(), more: cut && after.is_some(), lines })
            })
            .await
    }

    /// Returns the class and the message of the last failed item of a job.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn last_failure(&self, job: JobId) -> Result<Option<String>, SqliteError> {
        self.reader
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

    /// Returns failed items of a job, from the one after the number `after`.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn failures(&self, job: JobId, after: i64, limit: u32) -> Result<FailurePage, SqliteError> {
        self.reader
            .call(move |db| {
                let job = job.to_string();
                // This count is kept up to date with each failure: counting the rows for each page would get slower
                // with every failure.
                let total: Option<u64> =
                    db.query_row("SELECT failed FROM jobs WHERE id = ?1", [&job], |row| row.get(0)).optional()?;
                let total = total.unwrap_or_default();
                let mut rows = db
                    .prepare_cached(
                        "SELECT id, uri, class, message, attempts FROM failures WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
                    )?
                    .query_map(params![job, after, limit + 1], |row| {
                        let failure = ItemFailure {
                            uri: parse_column(row, 1, |text| ImageUri::parse(text).ok())?,
                            class: parse_column(row, 2, FailureClass::from_name)?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Executor;
    use crate::ledger::fixture;

    #[tokio::test]
    async fn a_log_keeps_its_newest_lines_and_is_read_page_by_page() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job = fixture::job(Executor::Local);
        ledger.enqueue(&job, 1).await.unwrap();
        let empty = ledger.logs(job.id, None).await.unwrap();
        assert!(empty.lines.is_empty() && !empty.older && !empty.more);
        let line_count = KEPT_LINES + MAX_SURPLUS_LINES;
        for line in 1..=line_count {
            ledger.log(job.id, format!("line {line}")).await.unwrap();
        }
        let line_number =
            |page: &LogPage, index: usize| page.lines[index].1.split_once("line ").unwrap().1.parse().unwrap();
        let newest = ledger.logs(job.id, None).await.unwrap();
        assert!(newest.older && !newest.more);
        let (first, last): (u32, u32) = (line_number(&newest, 0), line_number(&newest, newest.lines.len() - 1));
        assert_eq!((first, last), (line_count - MAX_LINES + 1, line_count));

        let (mut offset, mut next, mut pages) = (0, line_count - KEPT_LINES + 1, 0);
        loop {
            let page = ledger.logs(job.id, Some(offset)).await.unwrap();
            for index in 0..page.lines.len() {
                assert_eq!(line_number(&page, index), next);
                next += 1;
            }
            (offset, pages) = (page.lines.last().map_or(offset, |(number, _)| *number), pages + 1);
            assert!(!page.older);
            if !page.more {
                break;
            }
        }
        assert_eq!((next, pages), (line_count + 1, 2));
        assert!(ledger.logs(job.id, Some(offset)).await.unwrap().lines.is_empty());
    }
}
