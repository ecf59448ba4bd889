//! The log of a job.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::{JobId, Timestamp};

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

/// Adds lines to a job's log, which keeps the newest 10,000 to 11,000.
pub(crate) fn add(tx: &Transaction<'_>, job: JobId, lines: &[String]) -> rusqlite::Result<()> {
    let at = Timestamp::now();
    for line in lines {
        tx.prepare_cached("INSERT INTO logs(job, at, line) VALUES (?1, ?2, ?3)")?.execute(params![job, at, line])?;
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
    Ok(())
}

/// Adds a line to a job's log, unless the log contains the same line, or `max_lines` lines that begin with `kind`.
pub(crate) fn add_once(
    tx: &Transaction<'_>,
    job: JobId,
    kind: &str,
    line: String,
    max_lines: u32,
) -> rusqlite::Result<()> {
    let (count, has): (u32, bool) = tx
        .prepare_cached(
            "SELECT count(*), coalesce(max(line = ?2), 0) FROM logs WHERE job = ?1 AND substr(line, 1, ?4) = ?3",
        )?
        .query_row(params![job, line, kind, kind.chars().count()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if has || count >= max_lines { Ok(()) } else { add(tx, job, &[line]) }
}

/// Returns at most 5,000 lines of a job's log, each with its time: those after the line with the number `after`, or the
/// newest lines if it is `None`.
pub(crate) fn page(db: &Connection, job: JobId, after: Option<i64>) -> rusqlite::Result<LogPage> {
    let order = if after.is_some() { "ASC" } else { "DESC" };
    let sql = format!("SELECT id, at || ' ' || line FROM logs WHERE job = ?1 AND id > ?2 ORDER BY id {order} LIMIT ?3");
    let mut lines = db
        .prepare_cached(&sql)?
        .query_map(params![job, after.unwrap_or(0), MAX_LINES + 1], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let cut = lines.len() > MAX_LINES as usize;
    lines.truncate(MAX_LINES as usize);
    if after.is_none() {
        lines.reverse();
    }
    Ok(LogPage { older: cut && after.is_none(), more: cut && after.is_some(), lines })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Executor;
    use crate::ledger::{Ledger, fixture};

    #[tokio::test]
    async fn a_log_keeps_its_newest_lines_and_is_read_page_by_page() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let job = fixture::job(Executor::Local);
        fixture::begin(&ledger, &job).await;
        let job = job.id;
        let read = async |after| ledger.read(move |db| page(db, job, after)).await.unwrap();
        let empty = read(None).await;
        assert!(empty.lines.is_empty() && !empty.older && !empty.more);
        let line_count = KEPT_LINES + MAX_SURPLUS_LINES;
        for line in 1..=line_count {
            ledger.log(job, format!("line {line}")).await.unwrap();
        }
        let line_number =
            |page: &LogPage, index: usize| page.lines[index].1.split_once("line ").unwrap().1.parse().unwrap();
        let newest = read(None).await;
        assert!(newest.older && !newest.more);
        let (first, last): (u32, u32) = (line_number(&newest, 0), line_number(&newest, newest.lines.len() - 1));
        assert_eq!((first, last), (line_count - MAX_LINES + 1, line_count));

        let (mut offset, mut next, mut pages) = (0, line_count - KEPT_LINES + 1, 0);
        loop {
            let page = read(Some(offset)).await;
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
        assert!(read(Some(offset)).await.lines.is_empty());
    }
}
