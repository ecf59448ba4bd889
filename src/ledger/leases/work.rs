//! The work that is left: items in batches. The row of an item is deleted with its report, so a report that arrives
//! twice counts once.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::domain::{CollectionName, ImageUri, ItemFailure, JobCounts, JobId, StoreSet};
use crate::jobs::service::tally;
use crate::ledger::leases::{LeaseExtension, LostLeases};
use crate::ledger::{Ledger, jobs, leases, metadata, objects};
use crate::pipeline::{Indexed, ItemOutcome, TaskOutcome};
use crate::sqlite::SqliteError;

/// The outcomes of items of one batch, reported by the worker that leased it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Number of the batch.
    pub batch: i64,
    /// Which lease of the batch the worker held; see [`super::Batch::attempt`].
    pub attempt: u32,
    /// Outcomes of items of the batch.
    pub outcomes: Vec<TaskOutcome>,
}

/// The effect of a report on the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The job's counts after the report.
    pub counts: JobCounts,
    /// Number of items that the report completed.
    pub accepted: u64,
    /// Batches in the report that the worker does not hold any more.
    pub lost: Vec<i64>,
    /// The leases that the worker named and does not hold any more.
    pub renewed: LostLeases,
}

impl Ledger {
    /// Records the outcomes of items in one transaction, and returns the job's counts after it. Items that were
    /// reported before are ignored. An item that some store still lacks stays, with the stores that have it.
    ///
    /// If the worker does not hold the lease any more, only indexed items count: the stores have their records, no
    /// matter which worker reports it. Failed items are tried again by the worker that holds them now.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn report(
        &self,
        job: JobId,
        collection: CollectionName,
        space: String,
        worker: &str,
        reports: Vec<Report>,
    ) -> Result<Reported, SqliteError> {
        self.record_reports(job, collection, space, worker, reports, None).await
    }

    /// Like [`Ledger::report`] for a remote worker: the report also extends the leases that the worker holds, in the
    /// same transaction.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn report_and_prolong(
        &self,
        job: JobId,
        collection: CollectionName,
        space: String,
        worker: &str,
        reports: Vec<Report>,
        prolong: LeaseExtension,
    ) -> Result<Reported, SqliteError> {
        self.record_reports(job, collection, space, worker, reports, Some(prolong)).await
    }

    async fn record_reports(
        &self,
        job: JobId,
        collection: CollectionName,
        space: String,
        worker: &str,
        reports: Vec<Report>,
        prolong: Option<LeaseExtension>,
    ) -> Result<Reported, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                let (mut done, mut copied, mut failed, mut lost) = (0_u64, 0_u64, Vec::new(), Vec::new());
                // Before the reports, so that a batch which they finish is not returned as finished by others.
                let renewed = match &prolong {
                    Some(prolong) => leases::prolong_leases(&tx, &job, &worker, prolong)?,
                    None => LostLeases::default(),
                };
                for Report { batch, attempt, outcomes } in reports {
                    let held = leases::holds(&tx, &job, &worker, batch, attempt)?;
                    for outcome in outcomes {
                        let Some((uri, current_batch)) = item(&tx, &job, outcome.ticket)? else { continue };
                        let held = held && current_batch == batch;
                        if !held && !lost.contains(&batch) {
                            lost.push(batch);
                        }
                        match outcome.fate {
                            ItemOutcome::Indexed(indexed) => {
                                let row = joined_row(&tx, &job, &uri, &indexed)?;
                                objects::put(&tx, &collection, &uri, &space, &indexed, row.as_deref())?;
                                done += 1;
                                copied += u64::from(indexed.copied);
                            }
                            ItemOutcome::Lags(indexed) if held => {
                                update_have(&tx, outcome.ticket, &indexed.stores)?;
                                let row = joined_row(&tx, &job, &uri, &indexed)?;
                                objects::put(&tx, &collection, &uri, &space, &indexed, row.as_deref())?;
                                continue;
                            }
                            ItemOutcome::Failed(failure) if held => {
                                // The failure belongs to this item, no matter which URI the report names.
                                let uri = ImageUri::parse(&uri).unwrap_or(failure.uri);
                                // Earlier leases of the item were attempts, too.
                                let attempts = failure.attempts.saturating_add(attempt.saturating_sub(1));
                                let failure = ItemFailure { uri, attempts, ..failure };
                                insert_failure(&tx, &job, &failure)?;
                                failed.push(failure.class);
                            }
                            ItemOutcome::Lags(_) | ItemOutcome::Failed(_) => continue,
                        }
                        remove_item(&tx, outcome.ticket, current_batch)?;
                    }
                }
                tx.prepare_cached("UPDATE jobs SET done = done + ?2, failed = failed + ?3 WHERE id = ?1")?
                    .execute(params![job, done, failed.len()])?;
                let counts = jobs::counts(&tx, &job)?;
                tx.commit()?;
                tally::items(tally::CountedOutcome::Done, done);
                tally::copied(copied);
                tally::failures(&failed);
                Ok(Reported { counts, accepted: done + failed.len() as u64, lost, renewed })
            })
            .await
    }
}

/// Records the stores that have an item which is not done.
fn update_have(tx: &Transaction<'_>, ticket: i64, have: &StoreSet) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE items SET have = ?2 WHERE id = ?1")?.execute(params![ticket, have.to_string()]).map(drop)
}

/// Returns the digest of the metadata row that a record was joined with; `None` for a copy, whose row is known already.
fn joined_row(tx: &Transaction<'_>, job: &str, uri: &str, indexed: &Indexed) -> rusqlite::Result<Option<String>> {
    if indexed.copied { Ok(None) } else { metadata::digest(tx, job, uri).map(Some) }
}

/// Returns URI and batch of an item that is not done.
fn item(tx: &Transaction<'_>, job: &str, ticket: i64) -> rusqlite::Result<Option<(String, i64)>> {
    tx.prepare_cached("SELECT uri, batch FROM items WHERE id = ?1 AND job = ?2")?
        .query_row(params![ticket, job], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Deletes an item, and its batch if the item was the last one.
pub(crate) fn remove_item(tx: &Transaction<'_>, ticket: i64, batch: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM items WHERE id = ?1")?.execute([ticket])?;
    tx.prepare_cached("DELETE FROM batches WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM items WHERE batch = ?1)")?
        .execute([batch])
        .map(drop)
}

pub(crate) fn insert_failure(tx: &Transaction<'_>, job: &str, failure: &ItemFailure) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO failures(job, uri, class, message, attempts) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![job, failure.uri.as_str(), failure.class.as_str(), failure.message, failure.attempts])
        .map(drop)
}

#[cfg(test)]
#[path = "work_tests.rs"]
pub(crate) mod tests;
