//! The work that is left: items in batches. An item's row goes when its report comes, so a report that comes twice counts
//! once.

use rusqlite::{OptionalExtension, Transaction, params};

use super::leases::{Prolong, Renewed};
use super::{Ledger, jobs, leases, metadata, objects};
use crate::domain::{CollectionName, ImageUri, ItemFailure, JobCounts, JobId, StoreSet};
use crate::jobs::tally;
use crate::pipeline::{Indexed, ItemOutcome, TaskOutcome};
use crate::sqlite::SqliteError;

/// What became of items of one batch, as the worker that leased it says.
#[derive(Clone, Debug)]
pub struct Report {
    /// The batch.
    pub batch: i64,
    /// The lease of it under which the worker worked.
    pub attempt: u32,
    /// Of its items.
    pub outcomes: Vec<TaskOutcome>,
}

/// What a report made of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The job's counts after it.
    pub counts: JobCounts,
    /// Items that it brought to their end.
    pub accepted: u64,
    /// Batches of it that the worker does not hold any more.
    pub lost: Vec<i64>,
    /// What became of the leases that it named as held.
    pub renewed: Renewed,
}

impl Ledger {
    /// Notes what became of items, in one transaction, and gives the job's counts after it. Items that were reported
    /// before are passed over; one that some store still lacks stays, with those that have it.
    ///
    /// Of a lease that is no longer the worker's only what is indexed counts: that the stores have the record is so,
    /// whoever says it. What failed there is tried again by whoever has it now.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn report(
        &self,
        job: JobId,
        collection: CollectionName,
        space: String,
        worker: &str,
        reports: Vec<Report>,
    ) -> Result<Reported, SqliteError> {
        self.take_reports(job, collection, space, worker, reports, None).await
    }

    /// The same for a worker elsewhere: its report prolongs the leases that it holds, in the same transaction.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn report_and_prolong(
        &self,
        job: JobId,
        collection: CollectionName,
        space: String,
        worker: &str,
        reports: Vec<Report>,
        prolong: Prolong,
    ) -> Result<Reported, SqliteError> {
        self.take_reports(job, collection, space, worker, reports, Some(prolong)).await
    }

    async fn take_reports(
        &self,
        job: JobId,
        collection: CollectionName,
        space: String,
        worker: &str,
        reports: Vec<Report>,
        prolong: Option<Prolong>,
    ) -> Result<Reported, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let (mut done, mut copied, mut failed, mut lost) = (0_u64, 0_u64, Vec::new(), Vec::new());
                // Before the reports: a batch that they finish is not told as one that others have finished.
                let renewed = match &prolong {
                    Some(prolong) => leases::prolong_leases(&all, &job, &worker, prolong)?,
                    None => Renewed::default(),
                };
                for Report { batch, attempt, outcomes } in reports {
                    let held = leases::holds(&all, &job, &worker, batch, attempt)?;
                    for outcome in outcomes {
                        let Some((uri, now_in)) = item(&all, &job, outcome.ticket)? else { continue };
                        let held = held && now_in == batch;
                        if !held && !lost.contains(&batch) {
                            lost.push(batch);
                        }
                        match outcome.fate {
                            ItemOutcome::Indexed(indexed) => {
                                let row = joined(&all, &job, &uri, &indexed)?;
                                objects::put(&all, &collection, &uri, &space, &indexed, row.as_deref())?;
                                done += 1;
                                copied += u64::from(indexed.copied);
                            }
                            ItemOutcome::Lags(indexed) if held => {
                                lag(&all, outcome.ticket, &indexed.stores)?;
                                let row = joined(&all, &job, &uri, &indexed)?;
                                objects::put(&all, &collection, &uri, &space, &indexed, row.as_deref())?;
                                continue;
                            }
                            ItemOutcome::Failed(failure) if held => {
                                // Whatever was said to have failed: it is this item that did.
                                let uri = ImageUri::parse(&uri).unwrap_or(failure.uri);
                                // Earlier leases of it were attempts, too.
                                let attempts = failure.attempts.saturating_add(attempt.saturating_sub(1));
                                let failure = ItemFailure { uri, attempts, ..failure };
                                insert_failure(&all, &job, &failure)?;
                                failed.push(failure.class);
                            }
                            ItemOutcome::Lags(_) | ItemOutcome::Failed(_) => continue,
                        }
                        remove_item(&all, outcome.ticket, now_in)?;
                    }
                }
                all.prepare_cached("UPDATE jobs SET done = done + ?2, failed = failed + ?3 WHERE id = ?1")?
                    .execute(params![job, done, failed.len()])?;
                let counts = jobs::counts(&all, &job)?;
                all.commit()?;
                tally::items(tally::CountedOutcome::Done, done);
                tally::copied(copied);
                tally::failures(&failed);
                Ok(Reported { counts, accepted: done + failed.len() as u64, lost, renewed })
            })
            .await
    }
}

/// Notes the stores that have an item which is not done.
fn lag(all: &Transaction<'_>, ticket: i64, have: &StoreSet) -> rusqlite::Result<()> {
    all.prepare_cached("UPDATE items SET have = ?2 WHERE id = ?1")?.execute(params![ticket, have.to_string()]).map(drop)
}

/// The digest of the row that a record was joined with; `None` where it is a copy, whose row is known already.
fn joined(all: &Transaction<'_>, job: &str, uri: &str, indexed: &Indexed) -> rusqlite::Result<Option<String>> {
    if indexed.copied { Ok(None) } else { metadata::digest(all, job, uri).map(Some) }
}

/// URI and batch of an item that is not done.
fn item(all: &Transaction<'_>, job: &str, ticket: i64) -> rusqlite::Result<Option<(String, i64)>> {
    all.prepare_cached("SELECT uri, batch FROM items WHERE id = ?1 AND job = ?2")?
        .query_row(params![ticket, job], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// An item is done with; and so is its batch where it was the last.
pub(super) fn remove_item(all: &Transaction<'_>, ticket: i64, batch: i64) -> rusqlite::Result<()> {
    all.prepare_cached("DELETE FROM items WHERE id = ?1")?.execute([ticket])?;
    all.prepare_cached("DELETE FROM batches WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM items WHERE batch = ?1)")?
        .execute([batch])
        .map(drop)
}

pub(super) fn insert_failure(all: &Transaction<'_>, job: &str, failure: &ItemFailure) -> rusqlite::Result<()> {
    all.prepare_cached("INSERT INTO failures(job, uri, class, message, attempts) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![job, failure.uri.as_str(), failure.class.as_str(), failure.message, failure.attempts])
        .map(drop)
}

#[cfg(test)]
#[path = "work_tests.rs"]
pub(super) mod tests;
