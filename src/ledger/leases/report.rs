//! The work that is left: items in batches. The row of an item is deleted with its report, so a report that arrives
//! twice counts once.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::domain::{
    CollectionName, FailureClass, ImageUri, Indexed, ItemFailure, ItemOutcome, JobCounts, JobId, StoreSet, TaskOutcome,
};
use crate::ledger::leases::{Held, LeaseRenewal, LostLeases};
use crate::ledger::{failures, jobs, leases, metadata, objects};

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
pub(crate) struct Reported {
    /// The job's counts after the report.
    pub(crate) counts: JobCounts,
    /// Number of items that the report completed as indexed.
    pub(crate) done: u64,
    /// Number of them whose record was copied from another store.
    pub(crate) copied: u64,
    /// The classes of the items that the report completed as failed.
    pub(crate) failed: Vec<FailureClass>,
    /// Number of items whose images were removed permanently while they were processed.
    pub(crate) skipped: u64,
    /// Batches in the report that the worker does not hold any more.
    pub(crate) lost: Vec<i64>,
    /// The leases that the worker named and does not hold any more.
    pub(crate) renewed: LostLeases,
}

/// Records the outcomes of items. Items that were reported before are ignored. An item that some store still lacks
/// stays, with the stores that have it. The report of a remote worker also renews its leases.
///
/// If the worker does not hold the lease any more, only indexed items count: the stores have their records, no matter
/// which worker reports it. Failed items are tried again by the worker that holds them now.
///
/// An image that was removed permanently in the meantime counts as skipped, and the stores remove its record again.
pub(crate) fn report(
    tx: &Transaction<'_>,
    job: JobId,
    collection: &CollectionName,
    space: &str,
    worker: &str,
    reports: Vec<Report>,
    renewal: Option<&LeaseRenewal>,
) -> rusqlite::Result<Reported> {
    let (mut done, mut copied, mut skipped, mut failed, mut lost) = (0_u64, 0_u64, 0_u64, Vec::new(), Vec::new());
    // Before the reports, so that a batch which they finish is not returned as finished by others.
    let renewed = match renewal {
        Some(renewal) => leases::renew(tx, job, worker, renewal)?,
        None => LostLeases::default(),
    };
    for Report { batch, attempt, outcomes } in reports {
        let held = leases::holds(tx, job, worker, Held { batch, attempt })?;
        for outcome in outcomes {
            let Some((uri, current_batch)) = item(tx, job, outcome.ticket)? else { continue };
            let held = held && current_batch == batch;
            if !held && !lost.contains(&batch) {
                lost.push(batch);
            }
            match outcome.result {
                ItemOutcome::Indexed(indexed) => {
                    let row = joined_row(tx, job, &uri, &indexed)?;
                    if objects::put(tx, collection, &uri, space, &indexed, row.as_deref())? {
                        done += 1;
                        copied += u64::from(indexed.copied);
                    } else {
                        skipped += 1;
                    }
                }
                ItemOutcome::PartlyStored(indexed) if held => {
                    set_stores(tx, outcome.ticket, &indexed.stores)?;
                    let row = joined_row(tx, job, &uri, &indexed)?;
                    if objects::put(tx, collection, &uri, space, &indexed, row.as_deref())? {
                        continue;
                    }
                    skipped += 1;
                }
                ItemOutcome::Failed(failure) if held => {
                    // Earlier leases of the item were attempts, too.
                    let attempts = failure.attempts.saturating_add(attempt.saturating_sub(1));
                    // The failure belongs to this item, no matter which URI the report names.
                    failures::add(tx, job, &ItemFailure { uri, attempts, ..failure })?;
                    failed.push(failure.class);
                }
                ItemOutcome::PartlyStored(_) | ItemOutcome::Failed(_) => continue,
            }
            remove_item(tx, outcome.ticket, current_batch)?;
        }
    }
    tx.prepare_cached("UPDATE jobs SET done = done + ?2, failed = failed + ?3, skipped = skipped + ?4 WHERE id = ?1")?
        .execute(params![job, done, failed.len(), skipped])?;
    Ok(Reported { counts: jobs::counts(tx, job)?, done, copied, failed, skipped, lost, renewed })
}

/// Records the stores that have an item which is not done.
fn set_stores(tx: &Transaction<'_>, ticket: i64, stores: &StoreSet) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE items SET have = ?2 WHERE id = ?1")?.execute(params![ticket, stores]).map(drop)
}

/// Returns the digest of the metadata row that a record was joined with; `None` for a copy, whose row is known already.
fn joined_row(tx: &Transaction<'_>, job: JobId, uri: &ImageUri, indexed: &Indexed) -> rusqlite::Result<Option<String>> {
    if indexed.copied { Ok(None) } else { metadata::digest(tx, job, uri).map(Some) }
}

/// Returns URI and batch of an item that is not done.
fn item(tx: &Transaction<'_>, job: JobId, ticket: i64) -> rusqlite::Result<Option<(ImageUri, i64)>> {
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

#[cfg(test)]
#[path = "report_tests.rs"]
pub(crate) mod tests;
