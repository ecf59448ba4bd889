//! What comes of a batch whose worker is no more.
//!
//! A lease that ends without a report (its time is over, its worker died) never fails an image. What was reported stays
//! done; the rest goes back in halves, as suspects. A suspect batch is leased only to a worker that holds nothing else, and
//! while it holds it, it gets nothing else: so that a image that kills its worker ends up alone, and takes nobody with it.
//! Only an image that was leased so, alone, and whose worker died [`MAX_DEATHS_ALONE`] times, fails.
//!
//! Suspects come last: they hold up nobody, and who is killed from outside again and again has other things to be killed over.

use rusqlite::{Transaction, params};

use super::{Ledger, jobs, work};
use crate::domain::{FailureClass, ImageUri, ItemFailure, JobId};
use crate::jobs::tally;
use crate::sqlite::SqliteError;
use crate::telemetry::metrics::families;

/// Workers that may die over an image which they have alone before it fails.
pub const MAX_DEATHS_ALONE: u32 = 4;

impl Ledger {
    /// Ends the leases of a worker that died; says how many.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn end_leases_of_dead(&self, job: JobId, worker: &str) -> Result<usize, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                let dead = ids(
                    &all,
                    "SELECT id FROM batches WHERE job = ?1 AND state = 'leased' AND worker = ?2 ORDER BY id",
                    params![job.to_string(), worker],
                )?;
                let failed = deaths(&all, &dead)?;
                all.commit()?;
                tally::failures(&failed);
                tally::deaths(tally::SAID, u64::from(!dead.is_empty()));
                Ok(dead.len())
            })
            .await
    }

    /// Ends the leases of a job whose time is over at that moment (Unix milliseconds); says whose they were.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn expire(&self, job: JobId, now: i64) -> Result<Vec<String>, SqliteError> {
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                let these = "job = ?1 AND state = 'leased' AND until <= ?2";
                let job = job.to_string();
                let workers = all
                    .prepare_cached(&format!("SELECT DISTINCT worker FROM batches WHERE {these} ORDER BY worker"))?
                    .query_map(params![job, now], |row| row.get(0))?
                    .collect::<rusqlite::Result<Vec<String>>>()?;
                let (mut over, mut failed) = (Vec::new(), Vec::new());
                if !workers.is_empty() {
                    over = ids(&all, &format!("SELECT id FROM batches WHERE {these} ORDER BY id"), params![job, now])?;
                    failed = deaths(&all, &over)?;
                }
                all.commit()?;
                tally::failures(&failed);
                families::LEASES_EXPIRED.one().increment(over.len() as u64);
                tally::deaths(tally::SILENT, workers.len() as u64);
                Ok(workers)
            })
            .await
    }

    /// Ends every lease of the process before, which was killed over them, and takes away what a crash left of finished
    /// jobs. Leases of workers elsewhere go on. Says how many leases were ended.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn end_local_leases(&self) -> Result<usize, SqliteError> {
        for job in self.finished().await? {
            self.clear(job).await?;
        }
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                let local = "SELECT id FROM batches WHERE state = 'leased' AND until IS NULL ORDER BY id";
                let local = ids(&all, local, ())?;
                let failed = deaths(&all, &local)?;
                all.commit()?;
                tally::failures(&failed);
                Ok(local.len())
            })
            .await
    }
}

fn ids(all: &Transaction<'_>, select: &str, of: impl rusqlite::Params) -> rusqlite::Result<Vec<i64>> {
    all.prepare_cached(select)?.query_map(of, |row| row.get(0))?.collect()
}

/// Gives the classes of the images that failed by it.
fn deaths(all: &Transaction<'_>, batches: &[i64]) -> rusqlite::Result<Vec<FailureClass>> {
    batches.iter().filter_map(|batch| death(all, *batch).transpose()).collect()
}

/// The worker of a batch is no more: what is left of it goes back in halves, or fails where it was alone too often. The
/// first half keeps the batch's number, so that a worker which comes back finds that it is another's.
fn death(all: &Transaction<'_>, batch: i64) -> rusqlite::Result<Option<FailureClass>> {
    let items = ids(all, "SELECT id FROM items WHERE batch = ?1 ORDER BY id", [batch])?;
    let (job, attempts, alone): (String, u32, u32) = all
        .prepare_cached("SELECT job, attempt, alone + solo FROM batches WHERE id = ?1")?
        .query_row([batch], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if let [item] = items[..]
        && alone >= MAX_DEATHS_ALONE
    {
        let uri = all
            .prepare_cached("SELECT uri FROM items WHERE id = ?1")?
            .query_row([item], |row| jobs::parsed(row, 0, |text| ImageUri::parse(text).ok()))?;
        let message = format!("its worker died {alone} times while it had nothing but this image");
        let failure = ItemFailure { uri, class: FailureClass::Crashed, message, attempts };
        work::insert_failure(all, &job, &failure)?;
        work::remove_item(all, item, batch)?;
        all.prepare_cached("UPDATE jobs SET failed = failed + 1 WHERE id = ?1")?.execute([&job])?;
        return Ok(Some(FailureClass::Crashed));
    }
    let (_, rest) = items.split_at(items.len().div_ceil(2));
    all.prepare_cached(
        "UPDATE batches SET state = 'todo', worker = NULL, until = NULL, deaths = deaths + 1, alone = ?2, solo = 0
         WHERE id = ?1",
    )?
    .execute(params![batch, if items.len() == 1 { alone } else { 0 }])?;
    if rest.is_empty() {
        return Ok(None);
    }
    all.prepare_cached(
        "INSERT INTO batches(job, state, attempt, deaths) SELECT job, 'todo', attempt, deaths FROM batches WHERE id = ?1",
    )?
    .execute([batch])?;
    let other = all.last_insert_rowid();
    for item in rest {
        all.prepare_cached("UPDATE items SET batch = ?2 WHERE id = ?1")?.execute([*item, other])?;
    }
    Ok(None)
}
