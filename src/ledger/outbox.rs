//! Webhooks that are to be sent. Triggers of the schema add the rows; at most the newest 1,000 are kept.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::Timestamp;

/// A webhook that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    /// The number of the row. It is never used twice.
    pub(crate) number: i64,
    /// The id of the webhook.
    pub(crate) id: String,
    /// What happened: `job.succeeded`…
    pub(crate) event: String,
    /// The id of the job, or the name of the mirror.
    pub(crate) subject: String,
    /// Why a mirror was stopped.
    pub(crate) reason: Option<String>,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// How many attempts to send it have failed.
    pub(crate) attempts: u32,
    /// What is sent, from the first attempt on.
    pub(crate) body: Option<String>,
}

/// How many webhooks wait, and how many were removed because there were too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboxCounts {
    pub(crate) waiting: u32,
    pub(crate) dropped: u32,
}

/// Whether rows are added.
pub(crate) fn is_enabled(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT enabled FROM webhook", (), |row| row.get(0))
}

/// Sets whether rows are added. If not, those that wait are removed: a later receiver is not notified of them.
pub(crate) fn set_enabled(tx: &Transaction<'_>, enabled: bool) -> rusqlite::Result<()> {
    if !enabled {
        tx.execute("DELETE FROM outbox", ())?;
    }
    tx.execute("UPDATE webhook SET enabled = ?1, dropped = 0", [enabled]).map(drop)
}

/// Returns the webhook that has been due for the longest time at `now` (Unix milliseconds).
pub(crate) fn next(db: &Connection, now: i64) -> rusqlite::Result<Option<OutboxRow>> {
    db.prepare_cached(
        "SELECT number, id, type, subject, reason, at, attempts, body FROM outbox WHERE due <= ?1 ORDER BY due, number LIMIT 1",
    )?
    .query_row([now], |row| {
        Ok(OutboxRow {
            number: row.get(0)?,
            id: row.get(1)?,
            event: row.get(2)?,
            subject: row.get(3)?,
            reason: row.get(4)?,
            at: row.get(5)?,
            attempts: row.get(6)?,
            body: row.get(7)?,
        })
    })
    .optional()
}

pub(crate) fn counts(db: &Connection) -> rusqlite::Result<OutboxCounts> {
    db.prepare_cached("SELECT (SELECT count(*) FROM outbox), dropped FROM webhook")?
        .query_row((), |row| Ok(OutboxCounts { waiting: row.get(0)?, dropped: row.get(1)? }))
}

/// Forgets that rows were removed, after this was reported.
pub(crate) fn forget_dropped(tx: &Transaction<'_>, dropped: u32) -> rusqlite::Result<()> {
    tx.execute("UPDATE webhook SET dropped = max(dropped - ?1, 0)", [dropped]).map(drop)
}

/// Records what is sent, so that each attempt sends the same.
pub(crate) fn set_body(tx: &Transaction<'_>, number: i64, body: &str) -> rusqlite::Result<()> {
    tx.execute("UPDATE outbox SET body = ?2 WHERE number = ?1", params![number, body]).map(drop)
}

/// Records a failed attempt; the next one is not before `due` (Unix milliseconds).
pub(crate) fn retry(tx: &Transaction<'_>, number: i64, due: i64) -> rusqlite::Result<()> {
    tx.execute("UPDATE outbox SET attempts = attempts + 1, due = ?2 WHERE number = ?1", params![number, due]).map(drop)
}

pub(crate) fn remove(tx: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM outbox WHERE number = ?1", [number]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Executor, JobRecord, JobState};
    use crate::ledger::jobs::Finish;
    use crate::ledger::{Ledger, fixture, jobs, mirrors};

    async fn finish(ledger: &Ledger, state: JobState) -> JobRecord {
        let job = fixture::job(Executor::Local);
        fixture::begin(ledger, &job).await;
        let finish = Finish { state, message: None, summary: None };
        let id = job.id;
        assert!(ledger.write(move |tx| jobs::finish(tx, id, &finish)).await.unwrap());
        let finish = Finish { state: JobState::Stopped, message: None, summary: None };
        assert!(!ledger.write(move |tx| jobs::finish(tx, id, &finish)).await.unwrap(), "a second end is none");
        job
    }

    async fn counts_now(ledger: &Ledger) -> (u32, u32) {
        let OutboxCounts { waiting, dropped } = ledger.read(counts).await.unwrap();
        (waiting, dropped)
    }

    #[tokio::test]
    async fn the_end_of_a_job_adds_a_row_only_if_a_receiver_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        finish(&ledger, JobState::Failed).await;
        assert_eq!((counts_now(&ledger).await, ledger.read(is_enabled).await.unwrap()), ((0, 0), false));
        ledger.write(|tx| set_enabled(tx, true)).await.unwrap();
        let mut expected = Vec::new();
        for (state, event) in [
            (JobState::Succeeded, "job.succeeded"),
            (JobState::Failed, "job.failed"),
            (JobState::Stopped, "job.cancelled"),
        ] {
            expected.push((finish(&ledger, state).await.id.to_string(), event));
        }
        for (attempts, (subject, event)) in expected.iter().enumerate() {
            let row = ledger.read(|db| next(db, 0)).await.unwrap().unwrap();
            assert_eq!((&row.subject, &*row.event, row.attempts, &row.body), (subject, *event, 0, &None), "{attempts}");
            assert!(row.id.starts_with("msg_") && row.id.len() == 36, "{}", row.id);
            ledger.write(move |tx| retry(tx, row.number, 7)).await.unwrap();
        }
        assert_eq!(ledger.read(|db| next(db, 6)).await.unwrap(), None, "none is due yet");
        let row = ledger.read(|db| next(db, 7)).await.unwrap().unwrap();
        assert_eq!((&row.subject, row.attempts), (&expected[0].0, 1));
        ledger.write(move |tx| set_body(tx, row.number, "{}")).await.unwrap();
        assert_eq!(ledger.read(|db| next(db, 7)).await.unwrap().unwrap().body.as_deref(), Some("{}"));
        ledger.write(move |tx| remove(tx, row.number)).await.unwrap();
        assert_eq!(counts_now(&ledger).await, (2, 0));
        ledger.write(|tx| set_enabled(tx, false)).await.unwrap();
        assert_eq!(counts_now(&ledger).await, (0, 0));
    }

    #[tokio::test]
    async fn the_oldest_rows_are_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.write(|tx| set_enabled(tx, true)).await.unwrap();
        let add = |tx: &Transaction<'_>| {
            let sql = "INSERT INTO outbox(id, type, subject, at) VALUES ('i', 't', ?1, '2026-01-01T00:00:00Z')";
            (0..1_003).try_for_each(|number| tx.execute(sql, [number.to_string()]).map(drop))
        };
        ledger.write(add).await.unwrap();
        assert_eq!(counts_now(&ledger).await, (1_000, 3));
        assert_eq!(ledger.read(|db| next(db, 0)).await.unwrap().unwrap().subject, "3");
        ledger.write(|tx| forget_dropped(tx, 2)).await.unwrap();
        assert_eq!(counts_now(&ledger).await, (1_000, 1));
    }

    #[tokio::test]
    async fn a_mirror_that_is_stopped_and_resumed_adds_two_rows() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.write(|tx| set_enabled(tx, true)).await.unwrap();
        let changes = |tx: &Transaction<'_>| {
            let name = crate::domain::MirrorName::parse("m").unwrap();
            tx.execute(
                "INSERT INTO mirrors(name, spec, state, token, created_at) VALUES ('m', '{}', 'active', 't', 'now')",
                (),
            )?;
            mirrors::stop(tx, &name, "too much is gone")?;
            mirrors::stop(tx, &name, "again")?;
            let resume = "UPDATE mirrors SET state = 'active', reason = NULL";
            tx.execute(resume, ())?;
            tx.execute("UPDATE mirrors SET state = 'paused'", ())?;
            tx.execute(resume, ()).map(drop)
        };
        ledger.write(changes).await.unwrap();
        let mut rows = Vec::new();
        while let Some(row) = ledger.read(|db| next(db, 0)).await.unwrap() {
            rows.push((row.event, row.subject, row.reason));
            ledger.write(move |tx| remove(tx, row.number)).await.unwrap();
        }
        let row = |event: &str, reason: Option<&str>| (event.to_owned(), "m".to_owned(), reason.map(str::to_owned));
        assert_eq!(rows, [row("mirror.failed", Some("too much is gone")), row("mirror.recovered", None)]);
    }
}
