//! What happens to a batch whose worker has died.
//!
//! A lease that ends without a report (it expired, or its worker died) never fails an image. Images that were reported
//! stay done; the others go back in two halves, as suspect batches. A suspect batch is leased only to a worker that
//! holds no other batch, and this worker gets no other batch while it holds it. In this way an image that kills its
//! worker ends up alone in a batch and affects no other image. An image fails only if it was leased alone in this way
//! and its worker died [`MAX_DEATHS_ALONE`] times.
//!
//! Suspect batches are leased last: they do not delay other images, and workers that are killed from outside again and
//! again die over other batches first.

use rusqlite::{Params, Transaction, params};

use crate::domain::{FailureClass, ItemFailure, JobId};
use crate::ledger::failures;
use crate::ledger::leases::report;

/// Number of workers that died while they held only this image after which the image fails.
pub(crate) const MAX_DEATHS_ALONE: u32 = 4;

/// Leases that were ended because their workers died.
#[derive(Debug)]
pub(crate) struct EndedLeases {
    /// Number of leases.
    pub(crate) leases: usize,
    /// The workers that held them.
    pub(crate) workers: Vec<String>,
    /// The classes of the images that failed because of it.
    pub(crate) failed: Vec<FailureClass>,
}

/// Ends the leases of a worker that died.
pub(crate) fn end_leases_of_dead(tx: &Transaction<'_>, job: JobId, worker: &str) -> rusqlite::Result<EndedLeases> {
    end_leases(tx, "job = ?1 AND worker = ?2", params![job, worker])
}

/// Ends the leases of a job that have expired at `now` (Unix milliseconds).
pub(crate) fn expire(tx: &Transaction<'_>, job: JobId, now: i64) -> rusqlite::Result<EndedLeases> {
    end_leases(tx, "job = ?1 AND until <= ?2", params![job, now])
}

/// Ends every local lease of the previous process, which was killed while it held them. Leases of remote workers
/// continue.
pub(crate) fn end_local_leases(tx: &Transaction<'_>) -> rusqlite::Result<EndedLeases> {
    end_leases(tx, "until IS NULL", ())
}

fn end_leases(tx: &Transaction<'_>, condition: &str, parameters: impl Params) -> rusqlite::Result<EndedLeases> {
    let leased = format!("SELECT id, worker FROM batches WHERE state = 'leased' AND {condition} ORDER BY id");
    let leases = tx
        .prepare_cached(&leased)?
        .query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    let (mut workers, mut failed) = (Vec::new(), Vec::new());
    for (batch, worker) in &leases {
        failed.extend(end_lease(tx, *batch)?);
        if !workers.contains(worker) {
            workers.push(worker.clone());
        }
    }
    Ok(EndedLeases { leases: leases.len(), workers, failed })
}

/// Ends the lease of a batch whose worker died: the images that are left go back in two halves, or the image fails if
/// too many workers died while it was alone. The first half keeps the number of the batch, so a worker that comes back
/// finds that the batch belongs to another lease.
fn end_lease(tx: &Transaction<'_>, batch: i64) -> rusqlite::Result<Option<FailureClass>> {
    let items = tx
        .prepare_cached("SELECT id FROM items WHERE batch = ?1 ORDER BY id")?
        .query_map([batch], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let (job, attempts, alone): (JobId, u32, u32) = tx
        .prepare_cached("SELECT job, attempt, alone + solo FROM batches WHERE id = ?1")?
        .query_row([batch], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if let [item] = items[..]
        && alone >= MAX_DEATHS_ALONE
    {
        let uri = tx.prepare_cached("SELECT uri FROM items WHERE id = ?1")?.query_row([item], |row| row.get(0))?;
        let message = format!("its worker died {alone} times while it had nothing but this image");
        let failure = ItemFailure { uri, class: FailureClass::Crashed, message, attempts };
        failures::add(tx, job, &failure)?;
        report::remove_item(tx, item, batch)?;
        tx.prepare_cached("UPDATE jobs SET failed = failed + 1 WHERE id = ?1")?.execute([job])?;
        return Ok(Some(FailureClass::Crashed));
    }
    let (_, rest) = items.split_at(items.len().div_ceil(2));
    tx.prepare_cached(
        "UPDATE batches SET state = 'todo', worker = NULL, until = NULL, deaths = deaths + 1, alone = ?2, solo = 0
         WHERE id = ?1",
    )?
    .execute(params![batch, if items.len() == 1 { alone } else { 0 }])?;
    if rest.is_empty() {
        return Ok(None);
    }
    tx.prepare_cached(
        "INSERT INTO batches(job, state, attempt, deaths) SELECT job, 'todo', attempt, deaths FROM batches WHERE id = ?1",
    )?
    .execute([batch])?;
    let other = tx.last_insert_rowid();
    for item in rest {
        tx.prepare_cached("UPDATE items SET batch = ?2 WHERE id = ?1")?.execute([*item, other])?;
    }
    Ok(None)
}
