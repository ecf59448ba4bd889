//! Which worker works on which batch. A batch is `todo` or `leased(worker, attempt, until)`, and it is removed when all
//! its items are done.
//!
//! The module `deaths` handles leases that end without a report.

pub(crate) mod deaths;
pub(crate) mod report;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::domain::{ImageRef, ImageUri, JobId, Task};
use crate::ledger::{metadata, tombstones};

/// A leased batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// Number of the batch.
    #[serde(rename = "batch")]
    pub id: i64,
    /// How many times the batch was leased, including this time: identifies one lease of the batch.
    pub attempt: u32,
    /// The items of the batch that are not done.
    pub tasks: Vec<Task>,
}

/// Result of a request for work.
#[derive(Debug)]
pub(crate) enum Leased {
    /// A batch, which is now leased to the worker.
    Batch(Batch),
    /// No batch now: the listing is not complete, other workers can still give batches back, or the worker must first
    /// finish what it holds.
    NothingYet,
    /// No batch any more, except those that the worker itself holds.
    NothingLeft,
}

/// A lease, as its worker identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Number of the batch.
    pub batch: i64,
    /// Which lease of the batch; see [`Batch::attempt`].
    pub attempt: u32,
}

/// The leases that a worker named as its own and that it does not hold any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LostLeases {
    /// Batches that another worker holds, or no worker.
    pub(crate) lost: Vec<i64>,
    /// Batches whose items are all done, by this worker's own reports or by another worker's.
    pub(crate) gone: Vec<i64>,
}

/// Which leases a worker's request renews.
#[derive(Clone, Debug)]
pub(crate) struct LeaseRenewal {
    /// The leases that the worker names; `None` for every lease that the worker holds according to the ledger.
    pub(crate) held: Option<Vec<Held>>,
    /// New end of the leases, in Unix milliseconds.
    pub(crate) until: i64,
}

/// Leases the next batch of a job to a worker until `until` (Unix milliseconds; `None`: as long as this process lives).
pub(crate) fn lease(tx: &Transaction<'_>, job: JobId, worker: &str, until: Option<i64>) -> rusqlite::Result<Leased> {
    let (held, suspect): (u64, bool) = tx
        .prepare_cached(
            "SELECT count(*), coalesce(max(deaths), 0) > 0 FROM batches
             WHERE job = ?1 AND state = 'leased' AND worker = ?2",
        )?
        .query_row(params![job, worker], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if suspect {
        return Ok(Leased::NothingYet);
    }
    let (batch, deaths): (i64, u32) = loop {
        let next = tx
            .prepare_cached(
                "SELECT id, deaths FROM batches WHERE job = ?1 AND state = 'todo' ORDER BY deaths, id LIMIT 1",
            )?
            .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((batch, deaths)) = next else { return without_batch(tx, job, worker) };
        if deaths > 0 && held > 0 {
            return Ok(Leased::NothingYet);
        }
        if tombstones::leave_out(tx, job, batch)? {
            break (batch, deaths);
        }
    };
    let tasks = tasks(tx, job, batch)?;
    let attempt = tx
        .prepare_cached(
            "UPDATE batches SET state = 'leased', worker = ?2, until = ?3, solo = ?4, attempt = attempt + 1
             WHERE id = ?1 RETURNING attempt",
        )?
        .query_row(params![batch, worker, until, deaths > 0 && tasks.len() == 1], |row| row.get(0))?;
    Ok(Leased::Batch(Batch { id: batch, attempt, tasks }))
}

/// Leases the next batch of a job to a remote worker and renews the leases that it holds. If the worker still holds the
/// lease `unanswered`, it gets that lease again, because the reply that granted it was lost.
pub(crate) fn lease_and_renew(
    tx: &Transaction<'_>,
    job: JobId,
    worker: &str,
    unanswered: Option<Held>,
    renewal: &LeaseRenewal,
) -> rusqlite::Result<Leased> {
    renew(tx, job, worker, renewal)?;
    if let Some(Held { batch, attempt }) = unanswered
        && holds(tx, job, worker, Held { batch, attempt })?
    {
        tx.prepare_cached("UPDATE batches SET until = ?2 WHERE id = ?1")?.execute(params![batch, renewal.until])?;
        return Ok(Leased::Batch(Batch { id: batch, attempt, tasks: tasks(tx, job, batch)? }));
    }
    lease(tx, job, worker, Some(renewal.until))
}

/// Whether the worker can get a batch later, if there is none now.
fn without_batch(tx: &Transaction<'_>, job: JobId, worker: &str) -> rusqlite::Result<Leased> {
    let left: Option<bool> = tx
        .prepare_cached(
            "SELECT planned AND NOT EXISTS
             (SELECT 1 FROM batches WHERE job = ?1 AND state = 'leased' AND worker <> ?2) FROM jobs WHERE id = ?1",
        )?
        .query_row(params![job, worker], |row| row.get(0))
        .optional()?;
    Ok(if left.unwrap_or(true) { Leased::NothingLeft } else { Leased::NothingYet })
}

fn tasks(tx: &Transaction<'_>, job: JobId, batch: i64) -> rusqlite::Result<Vec<Task>> {
    let refresh = tx
        .prepare_cached("SELECT json_extract(spec, '$.refresh') IS NOT NULL FROM jobs WHERE id = ?1")?
        .query_row([job], |row| row.get(0))?;
    tx.prepare_cached("SELECT id, uri, etag, size, have, twin FROM items WHERE batch = ?1 ORDER BY id")?
        .query_map([batch], |row| {
            let image = ImageRef { uri: row.get(1)?, etag: row.get(2)?, size_bytes: row.get(3)?, modified: None };
            let metadata = metadata::columns(tx, job, &image.uri)?;
            let (stored_in, possible_copy) = (row.get(4)?, row.get(5)?);
            Ok(Task { ticket: row.get(0)?, image, stored_in, possible_copy, refresh, metadata })
        })?
        .collect()
}

/// Renews leases of a worker. Returns which of the leases that it names it does not hold any more.
pub(crate) fn renew(
    tx: &Transaction<'_>,
    job: JobId,
    worker: &str,
    LeaseRenewal { held, until }: &LeaseRenewal,
) -> rusqlite::Result<LostLeases> {
    let mut found = LostLeases::default();
    let Some(held) = held else {
        tx.prepare_cached(
            "UPDATE batches SET until = ?3
             WHERE job = ?1 AND state = 'leased' AND worker = ?2 AND until IS NOT NULL",
        )?
        .execute(params![job, worker, until])?;
        return Ok(found);
    };
    for Held { batch, attempt } in held {
        let renewed = tx
            .prepare_cached(
                "UPDATE batches SET until = ?5
                 WHERE id = ?1 AND job = ?2 AND state = 'leased' AND worker = ?3 AND attempt = ?4",
            )?
            .execute(params![batch, job, worker, attempt, until])?;
        if renewed == 0 {
            let exists = tx.prepare_cached("SELECT 1 FROM batches WHERE id = ?1")?.exists([batch])?;
            if exists { found.lost.push(*batch) } else { found.gone.push(*batch) }
        }
    }
    Ok(found)
}

/// Sets the end of every lease of a job that can expire to `until`, because workers could not renew them while the
/// service was not running. The previous ends are not kept: the clock of the previous process may have been ahead.
pub(crate) fn renew_all(tx: &Transaction<'_>, job: JobId, until: i64) -> rusqlite::Result<()> {
    let renew = "UPDATE batches SET until = ?2 WHERE job = ?1 AND state = 'leased' AND until IS NOT NULL";
    tx.execute(renew, params![job, until]).map(drop)
}

/// Whether the worker holds this lease of a job.
pub(crate) fn holds(db: &Connection, job: JobId, worker: &str, held: Held) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM batches WHERE id = ?1 AND job = ?2 AND state = 'leased' AND worker = ?3 AND attempt = ?4",
    )?
    .exists(params![held.batch, job, worker, held.attempt])
}

/// Returns how many images each worker of a job holds.
pub(crate) fn held(db: &Connection, job: JobId) -> rusqlite::Result<Vec<(String, u64)>> {
    db.prepare_cached(
        "SELECT worker, count(*) FROM batches JOIN items ON items.batch = batches.id
         WHERE batches.job = ?1 AND state = 'leased' GROUP BY worker ORDER BY worker",
    )?
    .query_map([job], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// Returns the objects among `uris` of which a leased item is possibly a copy.
pub(crate) fn possible_copies_among(
    db: &Connection,
    job: JobId,
    uris: Vec<ImageUri>,
) -> rusqlite::Result<Vec<ImageUri>> {
    let mut leased = db.prepare_cached(
        "SELECT 1 FROM batches JOIN items ON items.batch = batches.id
         WHERE batches.job = ?1 AND state = 'leased' AND items.twin = ?2 LIMIT 1",
    )?;
    let mut is_possible_copy = |uri: &ImageUri| leased.exists(params![job, uri]);
    uris.into_iter().filter_map(|uri| is_possible_copy(&uri).map(|is| is.then_some(uri)).transpose()).collect()
}

/// Gives every lease of a worker back unchanged. This does not count as a death, because the worker left by itself.
/// Returns how many leases were given back.
pub(crate) fn give_back(tx: &Transaction<'_>, job: JobId, worker: &str) -> rusqlite::Result<usize> {
    tx.execute(
        "UPDATE batches SET state = 'todo', worker = NULL, until = NULL
         WHERE job = ?1 AND state = 'leased' AND worker = ?2",
        params![job, worker],
    )
}

/// Gives every lease of a job that can expire back unchanged: its workers do not work for this job any more, and none of
/// them died.
pub(crate) fn recall(tx: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE batches SET state = 'todo', worker = NULL, until = NULL
         WHERE job = ?1 AND state = 'leased' AND until IS NOT NULL",
    )?
    .execute([job])
    .map(drop)
}

/// Whether a job has planned items that are not done.
pub(crate) fn has_work(db: &Connection, job: JobId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM batches WHERE job = ?1 LIMIT 1")?.exists([job])
}

/// Whether the listing of a job is complete and no work is left.
pub(crate) fn is_complete(db: &Connection, job: JobId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT planned AND NOT EXISTS (SELECT 1 FROM batches WHERE job = ?1) FROM jobs WHERE id = ?1")?
        .query_row([job], |row| row.get(0))
}

#[cfg(test)]
mod tests;
