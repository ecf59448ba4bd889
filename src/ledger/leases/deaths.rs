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

use rusqlite::{Transaction, params};

use crate::domain::{FailureClass, ImageUri, ItemFailure, JobId};
use crate::jobs::service::tally;
use crate::ledger::leases::work;
use crate::ledger::{Ledger, jobs};
use crate::sqlite::SqliteError;
use crate::telemetry::metrics::families;

/// Number of workers that died while they held only this image after which the image fails.
pub const MAX_DEATHS_ALONE: u32 = 4;

impl Ledger {
    /// Ends the leases of a worker that died. Returns how many leases it had.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn end_leases_of_dead(&self, job: JobId, worker: &str) -> Result<usize, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let tx = db.transaction()?;
                let dead = ids(
                    &tx,
                    "SELECT id FROM batches WHERE job = ?1 AND state = 'leased' AND worker = ?2 ORDER BY id",
                    params![job.to_string(), worker],
                )?;
                let failed = end_leases(&tx, &dead)?;
                tx.commit()?;
                tally::failures(&failed);
                tally::deaths(tally::EXIT_REPORTED, u64::from(!dead.is_empty()));
                Ok(dead.len())
            })
            .await
    }

    /// Ends the leases of a job that have expired at `now` (Unix milliseconds). Returns the names of their workers.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn expire(&self, job: JobId, now: i64) -> Result<Vec<String>, SqliteError> {
        self.db
            .call(move |db| {
                let tx = db.transaction()?;
                let condition = "job = ?1 AND state = 'leased' AND until <= ?2";
                let job = job.to_string();
                let workers = tx
                    .prepare_cached(&format!("SELECT DISTINCT worker FROM batches WHERE {condition} ORDER BY worker"))?
                    .query_map(params![job, now], |row| row.get(0))?
                    .collect::<rusqlite::Result<Vec<String>>>()?;
                let (mut expired, mut failed) = (Vec::new(), Vec::new());
                if !workers.is_empty() {
                    expired =
                        ids(&tx, &format!("SELECT id FROM batches WHERE {condition} ORDER BY id"), params![job, now])?;
                    failed = end_leases(&tx, &expired)?;
                }
                tx.commit()?;
                tally::failures(&failed);
                families::LEASES_EXPIRED.one().increment(expired.len() as u64);
                tally::deaths(tally::NO_REQUESTS, workers.len() as u64);
                Ok(workers)
            })
            .await
    }

    /// Ends every local lease of the previous process, which was killed while it held them, and removes what a crash
    /// left of finished jobs. Leases of remote workers continue. Returns how many leases were ended.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn end_local_leases(&self) -> Result<usize, SqliteError> {
        for job in self.finished().await? {
            self.clear(job).await?;
        }
        self.db
            .call(move |db| {
                let tx = db.transaction()?;
                let local = "SELECT id FROM batches WHERE state = 'leased' AND until IS NULL ORDER BY id";
                let local = ids(&tx, local, ())?;
                let failed = end_leases(&tx, &local)?;
                tx.commit()?;
                tally::failures(&failed);
                Ok(local.len())
            })
            .await
    }
}

fn ids(tx: &Transaction<'_>, select: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<Vec<i64>> {
    tx.prepare_cached(select)?.query_map(parameters, |row| row.get(0))?.collect()
}

/// Ends the leases of these batches. Returns the classes of the images that failed because of it.
fn end_leases(tx: &Transaction<'_>, batches: &[i64]) -> rusqlite::Result<Vec<FailureClass>> {
    batches.iter().filter_map(|batch| end_lease(tx, *batch).transpose()).collect()
}

/// Ends the lease of a batch whose worker died: the images that are left go back in two halves, or the image fails if
/// too many workers died while it was alone. The first half keeps the number of the batch, so a worker that comes back
/// finds that the batch belongs to another lease.
fn end_lease(tx: &Transaction<'_>, batch: i64) -> rusqlite::Result<Option<FailureClass>> {
    let items = ids(tx, "SELECT id FROM items WHERE batch = ?1 ORDER BY id", [batch])?;
    let (job, attempts, alone): (String, u32, u32) = tx
        .prepare_cached("SELECT job, attempt, alone + solo FROM batches WHERE id = ?1")?
        .query_row([batch], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if let [item] = items[..]
        && alone >= MAX_DEATHS_ALONE
    {
        let uri = tx
            .prepare_cached("SELECT uri FROM items WHERE id = ?1")?
            .query_row([item], |row| jobs::parse_column(row, 0, |text| ImageUri::parse(text).ok()))?;
        let message = format!("its worker died {alone} times while it had nothing but this image");
        let failure = ItemFailure { uri, class: FailureClass::Crashed, message, attempts };
        work::insert_failure(tx, &job, &failure)?;
        work::remove_item(tx, item, batch)?;
        tx.prepare_cached("UPDATE jobs SET failed = failed + 1 WHERE id = ?1")?.execute([&job])?;
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
