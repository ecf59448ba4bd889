//! Which worker works on which batch. A batch is `todo` or `leased(worker, attempt, until)`, and it is removed when all
//! its items are done.
//!
//! The module `deaths` handles leases that end without a report.

pub(crate) mod deaths;
pub(crate) mod work;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::domain::{ImageRef, ImageUri, JobId, StoreSet};
use crate::ledger::{Ledger, jobs, metadata};
use crate::pipeline::Task;
use crate::sqlite::SqliteError;

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
pub enum Leased {
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
pub struct LostLeases {
    /// Batches that another worker holds, or no worker.
    pub lost: Vec<i64>,
    /// Batches whose items are all done, by this worker's own reports or by another worker's.
    pub gone: Vec<i64>,
}

/// Which leases a worker's request extends.
#[derive(Clone, Debug)]
pub struct LeaseExtension {
    /// The leases that the worker names; `None` for every lease that the worker holds according to the ledger.
    pub held: Option<Vec<Held>>,
    /// New end of the leases, in Unix milliseconds.
    pub until: i64,
}

impl Ledger {
    /// Leases the next batch of a job to a worker until `until` (Unix milliseconds; `None`: as long as this process
    /// lives).
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn lease(&self, job: JobId, worker: &str, until: Option<i64>) -> Result<Leased, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                let leased = lease(&tx, &job, &worker, until)?;
                tx.commit()?;
                Ok(leased)
            })
            .await
    }

    /// Leases the next batch of a job to a remote worker and extends the leases that it holds. If the worker still
    /// holds the lease `unanswered`, it gets that lease again, because the reply that granted it was lost.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn lease_and_prolong(
        &self,
        job: JobId,
        worker: &str,
        unanswered: Option<Held>,
        prolong: LeaseExtension,
    ) -> Result<Leased, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let tx = db.transaction()?;
                prolong_leases(&tx, &job, &worker, &prolong)?;
                let again = match unanswered {
                    Some(held) => lease_again(&tx, &job, &worker, held, prolong.until)?,
                    None => None,
                };
                let leased = match again {
                    Some(batch) => Leased::Batch(batch),
                    None => lease(&tx, &job, &worker, Some(prolong.until))?,
                };
                tx.commit()?;
                Ok(leased)
            })
            .await
    }

    /// Whether the worker holds this lease of a job.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn holds(&self, job: JobId, worker: &str, held: Held) -> Result<bool, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let tx = db.transaction()?;
                holds(&tx, &job.to_string(), &worker, held.batch, held.attempt)
            })
            .await
    }

    /// Extends the leases that a worker names. Returns which of them it does not hold any more.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn renew(
        &self,
        job: JobId,
        worker: &str,
        held: Vec<Held>,
        until: i64,
    ) -> Result<LostLeases, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let tx = db.transaction()?;
                let prolong = LeaseExtension { held: Some(held), until };
                let found = prolong_leases(&tx, &job.to_string(), &worker, &prolong)?;
                tx.commit()?;
                Ok(found)
            })
            .await
    }

    /// Returns the objects among `uris` of which a leased item is possibly a copy.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn possible_copies_among(&self, job: JobId, uris: Vec<ImageUri>) -> Result<Vec<ImageUri>, SqliteError> {
        self.db
            .call(move |db| {
                let mut possible_copies = Vec::new();
                for uri in uris {
                    let is_possible_copy = db
                        .prepare_cached(
                            "SELECT 1 FROM batches JOIN items ON items.batch = batches.id
                             WHERE batches.job = ?1 AND state = 'leased' AND items.twin = ?2 LIMIT 1",
                        )?
                        .exists(params![job.to_string(), uri.as_str()])?;
                    possible_copies.extend(is_possible_copy.then_some(uri));
                }
                Ok(possible_copies)
            })
            .await
    }

    /// Gives every lease of a worker back unchanged. This does not count as a death, because the worker left by itself.
    /// Returns how many leases were given back.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn give_back(&self, job: JobId, worker: &str) -> Result<usize, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                db.execute(
                    "UPDATE batches SET state = 'todo', worker = NULL, until = NULL
                     WHERE job = ?1 AND state = 'leased' AND worker = ?2",
                    params![job.to_string(), worker],
                )
            })
            .await
    }

    /// Gives every lease of a job that can expire back unchanged: its workers do not work for this job any more, and
    /// none of them died.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn recall(&self, job: JobId) -> Result<(), SqliteError> {
        self.db.call(move |db| recall(db, &job.to_string())).await
    }

    /// Sets the end of every lease of a job that can expire to `until`, because workers could not renew them while the
    /// service was not running. The previous ends are not kept: the clock of the previous process may have been ahead.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn prolong(&self, job: JobId, until: i64) -> Result<(), SqliteError> {
        let prolong = "UPDATE batches SET until = ?2 WHERE job = ?1 AND state = 'leased' AND until IS NOT NULL";
        self.db.call(move |db| db.execute(prolong, params![job.to_string(), until]).map(drop)).await
    }

    /// Returns how many images each worker of a job holds.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn held(&self, job: JobId) -> Result<Vec<(String, u64)>, SqliteError> {
        self.reader
            .call(move |db| {
                db.prepare_cached(
                    "SELECT worker, count(*) FROM batches JOIN items ON items.batch = batches.id
                     WHERE batches.job = ?1 AND state = 'leased' GROUP BY worker ORDER BY worker",
                )?
                .query_map([job.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
            })
            .await
    }

    /// Whether a job has planned items that are not done.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn has_work(&self, job: JobId) -> Result<bool, SqliteError> {
        self.reader
            .call(move |db| {
                db.prepare_cached("SELECT 1 FROM batches WHERE job = ?1 LIMIT 1")?.exists([job.to_string()])
            })
            .await
    }

    /// Whether the listing of a job is complete and no work is left.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn is_complete(&self, job: JobId) -> Result<bool, SqliteError> {
        self.reader
            .call(move |db| {
                db.prepare_cached(
                    "SELECT planned AND NOT EXISTS (SELECT 1 FROM batches WHERE job = ?1) FROM jobs WHERE id = ?1",
                )?
                .query_row([job.to_string()], |row| row.get(0))
            })
            .await
    }
}

fn lease(tx: &Transaction<'_>, job: &str, worker: &str, until: Option<i64>) -> rusqlite::Result<Leased> {
    let (held, suspect): (u64, bool) = tx
        .prepare_cached(
            "SELECT count(*), coalesce(max(deaths), 0) > 0 FROM batches
             WHERE job = ?1 AND state = 'leased' AND worker = ?2",
        )?
        .query_row(params![job, worker], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if suspect {
        return Ok(Leased::NothingYet);
    }
    let next: Option<(i64, u32)> = tx
        .prepare_cached("SELECT id, deaths FROM batches WHERE job = ?1 AND state = 'todo' ORDER BY deaths, id LIMIT 1")?
        .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((batch, deaths)) = next else { return without_batch(tx, job, worker) };
    if deaths > 0 && held > 0 {
        return Ok(Leased::NothingYet);
    }
    let tasks = tasks(tx, job, batch)?;
    let attempt = tx
        .prepare_cached(
            "UPDATE batches SET state = 'leased', worker = ?2, until = ?3, solo = ?4, attempt = attempt + 1
             WHERE id = ?1 RETURNING attempt",
        )?
        .query_row(params![batch, worker, until, deaths > 0 && tasks.len() == 1], |row| row.get(0))?;
    Ok(Leased::Batch(Batch { id: batch, attempt, tasks }))
}

/// Whether the worker can get a batch later, if there is none now.
fn without_batch(tx: &Transaction<'_>, job: &str, worker: &str) -> rusqlite::Result<Leased> {
    let left: Option<bool> = tx
        .prepare_cached(
            "SELECT planned AND NOT EXISTS
             (SELECT 1 FROM batches WHERE job = ?1 AND state = 'leased' AND worker <> ?2) FROM jobs WHERE id = ?1",
        )?
        .query_row(params![job, worker], |row| row.get(0))
        .optional()?;
    Ok(if left.unwrap_or(true) { Leased::NothingLeft } else { Leased::NothingYet })
}

fn tasks(tx: &Transaction<'_>, job: &str, batch: i64) -> rusqlite::Result<Vec<Task>> {
    tx.prepare_cached("SELECT id, uri, etag, size, have, twin FROM items WHERE batch = ?1 ORDER BY id")?
        .query_map([batch], |row| {
            let uri = jobs::parse_column(row, 1, |text| ImageUri::parse(text).ok())?;
            let image = ImageRef { uri, etag: row.get(2)?, size_bytes: row.get(3)?, modified: None };
            let metadata = metadata::columns(tx, job, &image.uri)?;
            let have = StoreSet::parse(&row.get::<_, String>(4)?);
            let possible_copy: Option<String> = row.get(5)?;
            let possible_copy = possible_copy.and_then(|text| ImageUri::parse(&text).ok());
            Ok(Task { ticket: row.get(0)?, image, have, possible_copy, metadata })
        })?
        .collect()
}

pub(crate) fn recall(db: &Connection, job: &str) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE batches SET state = 'todo', worker = NULL, until = NULL
         WHERE job = ?1 AND state = 'leased' AND until IS NOT NULL",
    )?
    .execute([job])
    .map(drop)
}

/// Extends leases of a worker. Returns which of the leases that it names it does not hold any more.
pub(crate) fn prolong_leases(
    tx: &Transaction<'_>,
    job: &str,
    worker: &str,
    LeaseExtension { held, until }: &LeaseExtension,
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
        match renewed {
            0 if exists(tx, *batch)? => found.lost.push(*batch),
            0 => found.gone.push(*batch),
            _ => {}
        }
    }
    Ok(found)
}

/// Returns a lease that the worker holds and does not know about.
fn lease_again(
    tx: &Transaction<'_>,
    job: &str,
    worker: &str,
    Held { batch, attempt }: Held,
    until: i64,
) -> rusqlite::Result<Option<Batch>> {
    if !holds(tx, job, worker, batch, attempt)? {
        return Ok(None);
    }
    tx.prepare_cached("UPDATE batches SET until = ?2 WHERE id = ?1")?.execute(params![batch, until])?;
    Ok(Some(Batch { id: batch, attempt, tasks: tasks(tx, job, batch)? }))
}

/// Whether the worker still holds this lease.
pub(crate) fn holds(tx: &Transaction<'_>, job: &str, worker: &str, batch: i64, attempt: u32) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT 1 FROM batches WHERE id = ?1 AND job = ?2 AND state = 'leased' AND worker = ?3 AND attempt = ?4",
    )?
    .exists(params![batch, job, worker, attempt])
}

fn exists(tx: &Transaction<'_>, batch: i64) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM batches WHERE id = ?1")?.exists([batch])
}

#[cfg(test)]
mod tests;
