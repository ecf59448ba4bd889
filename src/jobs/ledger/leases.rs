//! Who works on what: `todo | leased(worker, attempt, until)`, and gone when done.
//!
//! What comes of a lease that ends without a report is in `deaths`.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Ledger, jobs, metadata};
use crate::domain::{ImageRef, ImageUri, JobId, StoreSet};
use crate::pipeline::Task;
use crate::sqlite::SqliteError;

/// A batch under lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// Its number.
    #[serde(rename = "batch")]
    pub id: i64,
    /// How often it was leased, this time included: tells one lease of it from another.
    pub attempt: u32,
    /// Its items that are not done.
    pub tasks: Vec<Task>,
}

/// What asking for work gave.
#[derive(Debug)]
pub enum Leased {
    /// This, now under lease.
    Batch(Batch),
    /// Nothing now: the listing goes on, others may give something back, or the worker must first be done with what it has.
    NothingYet,
    /// Nothing any more, but for what the worker itself holds.
    NothingLeft,
}

/// A lease as its worker names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The batch.
    pub batch: i64,
    /// Which lease of it.
    pub attempt: u32,
}

/// Of the leases that a worker said it holds, those that are not its own any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Batches that are another's, or nobody's.
    pub lost: Vec<i64>,
    /// Batches of which nothing is left: by the worker's own reports, or by another's.
    pub gone: Vec<i64>,
}

/// The leases that a request of a worker prolongs.
#[derive(Clone, Debug)]
pub struct Prolong {
    /// The leases that the worker names; `None`: every lease that the ledger knows it to hold.
    pub held: Option<Vec<Held>>,
    /// Until that moment, in Unix milliseconds.
    pub until: i64,
}

impl Ledger {
    /// Leases the next batch of a job to a worker, until that moment (Unix milliseconds; `None`: as long as this process
    /// lives).
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn lease(&self, job: JobId, worker: &str, until: Option<i64>) -> Result<Leased, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let leased = lease(&all, &job, &worker, until)?;
                all.commit()?;
                Ok(leased)
            })
            .await
    }

    /// Leases the next batch of a job to a worker elsewhere and prolongs the leases that it holds. If `unanswered` is still
    /// its lease, the worker gets that one again: the reply that granted it was lost.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn lease_and_prolong(
        &self,
        job: JobId,
        worker: &str,
        unanswered: Option<Held>,
        prolong: Prolong,
    ) -> Result<Leased, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                prolong_leases(&all, &job, &worker, &prolong)?;
                let again = match unanswered {
                    Some(held) => lease_again(&all, &job, &worker, held, prolong.until)?,
                    None => None,
                };
                let leased = match again {
                    Some(batch) => Leased::Batch(batch),
                    None => lease(&all, &job, &worker, Some(prolong.until))?,
                };
                all.commit()?;
                Ok(leased)
            })
            .await
    }

    /// Whether that lease of a job is the worker's.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn holds(&self, job: JobId, worker: &str, held: Held) -> Result<bool, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                holds(&all, &job.to_string(), &worker, held.batch, held.attempt)
            })
            .await
    }

    /// Prolongs the leases that a worker says it holds; says which of them are not its own any more.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn renew(&self, job: JobId, worker: &str, held: Vec<Held>, until: i64) -> Result<Renewed, SqliteError> {
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                let prolong = Prolong { held: Some(held), until };
                let found = prolong_leases(&all, &job.to_string(), &worker, &prolong)?;
                all.commit()?;
                Ok(found)
            })
            .await
    }

    /// Of these objects those that an item under lease may be a copy of.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn twins_among(&self, job: JobId, uris: Vec<ImageUri>) -> Result<Vec<ImageUri>, SqliteError> {
        self.db
            .call(move |db| {
                let mut possible_copies = Vec::new();
                for uri in uris {
                    let is_twin = db
                        .prepare_cached(
                            "SELECT 1 FROM batches JOIN items ON items.batch = batches.id
                             WHERE batches.job = ?1 AND state = 'leased' AND items.possible_copy = ?2 LIMIT 1",
                        )?
                        .exists(params![job.to_string(), uri.as_str()])?;
                    possible_copies.extend(is_twin.then_some(uri));
                }
                Ok(possible_copies)
            })
            .await
    }

    /// Gives every lease of a worker back as it is: no death, it left of its own accord.
    ///
    /// # Errors
    /// [`SqliteError`]
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

    /// Gives every lease of a job that can run out back as it is: its workers are none of this job's any more, and nobody
    /// died.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn recall(&self, job: JobId) -> Result<(), SqliteError> {
        self.db.call(move |db| recall(db, &job.to_string())).await
    }

    /// Gives every lease of a job that can run out until that moment: nobody could renew one while the service was away. An
    /// `until` of the process before may be of a clock that was ahead, so it is not kept.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn prolong(&self, job: JobId, until: i64) -> Result<(), SqliteError> {
        let prolong = "UPDATE batches SET until = ?2 WHERE job = ?1 AND state = 'leased' AND until IS NOT NULL";
        self.db.call(move |db| db.execute(prolong, params![job.to_string(), until]).map(drop)).await
    }

    /// How many images each worker of a job holds.
    ///
    /// # Errors
    /// [`SqliteError`]
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

    /// Whether anything of a job is planned and not done.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn has_work(&self, job: JobId) -> Result<bool, SqliteError> {
        self.reader
            .call(move |db| {
                db.prepare_cached("SELECT 1 FROM batches WHERE job = ?1 LIMIT 1")?.exists([job.to_string()])
            })
            .await
    }

    /// Whether all of a job is listed and nothing of it is left to do.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn is_worked_off(&self, job: JobId) -> Result<bool, SqliteError> {
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

fn lease(all: &Transaction<'_>, job: &str, worker: &str, until: Option<i64>) -> rusqlite::Result<Leased> {
    let (held, suspect): (u64, bool) = all
        .prepare_cached(
            "SELECT count(*), coalesce(max(deaths), 0) > 0 FROM batches
             WHERE job = ?1 AND state = 'leased' AND worker = ?2",
        )?
        .query_row(params![job, worker], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if suspect {
        return Ok(Leased::NothingYet);
    }
    let next: Option<(i64, u32)> = all
        .prepare_cached("SELECT id, deaths FROM batches WHERE job = ?1 AND state = 'todo' ORDER BY deaths, id LIMIT 1")?
        .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((batch, deaths)) = next else { return nothing(all, job, worker) };
    if deaths > 0 && held > 0 {
        return Ok(Leased::NothingYet);
    }
    let tasks = tasks(all, job, batch)?;
    let attempt = all
        .prepare_cached(
            "UPDATE batches SET state = 'leased', worker = ?2, until = ?3, solo = ?4, attempt = attempt + 1
             WHERE id = ?1 RETURNING attempt",
        )?
        .query_row(params![batch, worker, until, deaths > 0 && tasks.len() == 1], |row| row.get(0))?;
    Ok(Leased::Batch(Batch { id: batch, attempt, tasks }))
}

/// Whether anything may come yet where nothing is to be had.
fn nothing(all: &Transaction<'_>, job: &str, worker: &str) -> rusqlite::Result<Leased> {
    let left: Option<bool> = all
        .prepare_cached(
            "SELECT planned AND NOT EXISTS
             (SELECT 1 FROM batches WHERE job = ?1 AND state = 'leased' AND worker <> ?2) FROM jobs WHERE id = ?1",
        )?
        .query_row(params![job, worker], |row| row.get(0))
        .optional()?;
    Ok(if left.unwrap_or(true) { Leased::NothingLeft } else { Leased::NothingYet })
}

fn tasks(all: &Transaction<'_>, job: &str, batch: i64) -> rusqlite::Result<Vec<Task>> {
    all.prepare_cached("SELECT id, uri, etag, size, have, possible_copy FROM items WHERE batch = ?1 ORDER BY id")?
        .query_map([batch], |row| {
            let uri = jobs::parsed(row, 1, |text| ImageUri::parse(text).ok())?;
            let image = ImageRef { uri, etag: row.get(2)?, size_bytes: row.get(3)?, modified: None };
            let metadata = metadata::columns(all, job, &image.uri)?;
            let have = StoreSet::parse(&row.get::<_, String>(4)?);
            let possible_copy: Option<String> = row.get(5)?;
            let possible_copy = possible_copy.and_then(|text| ImageUri::parse(&text).ok());
            Ok(Task { ticket: row.get(0)?, image, have, possible_copy, metadata })
        })?
        .collect()
}

pub(super) fn recall(db: &Connection, job: &str) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE batches SET state = 'todo', worker = NULL, until = NULL
         WHERE job = ?1 AND state = 'leased' AND until IS NOT NULL",
    )?
    .execute([job])
    .map(drop)
}

/// Prolongs leases of a worker; says which of those that it names are not its own any more.
pub(super) fn prolong_leases(
    all: &Transaction<'_>,
    job: &str,
    worker: &str,
    Prolong { held, until }: &Prolong,
) -> rusqlite::Result<Renewed> {
    let mut found = Renewed::default();
    let Some(held) = held else {
        all.prepare_cached(
            "UPDATE batches SET until = ?3
             WHERE job = ?1 AND state = 'leased' AND worker = ?2 AND until IS NOT NULL",
        )?
        .execute(params![job, worker, until])?;
        return Ok(found);
    };
    for Held { batch, attempt } in held {
        let renewed = all
            .prepare_cached(
                "UPDATE batches SET until = ?5
                 WHERE id = ?1 AND job = ?2 AND state = 'leased' AND worker = ?3 AND attempt = ?4",
            )?
            .execute(params![batch, job, worker, attempt, until])?;
        match renewed {
            0 if exists(all, *batch)? => found.lost.push(*batch),
            0 => found.gone.push(*batch),
            _ => {}
        }
    }
    Ok(found)
}

/// A lease that the worker has and does not know of.
fn lease_again(
    all: &Transaction<'_>,
    job: &str,
    worker: &str,
    Held { batch, attempt }: Held,
    until: i64,
) -> rusqlite::Result<Option<Batch>> {
    if !holds(all, job, worker, batch, attempt)? {
        return Ok(None);
    }
    all.prepare_cached("UPDATE batches SET until = ?2 WHERE id = ?1")?.execute(params![batch, until])?;
    Ok(Some(Batch { id: batch, attempt, tasks: tasks(all, job, batch)? }))
}

/// Whether that lease is still the worker's.
pub(super) fn holds(
    all: &Transaction<'_>,
    job: &str,
    worker: &str,
    batch: i64,
    attempt: u32,
) -> rusqlite::Result<bool> {
    all.prepare_cached(
        "SELECT 1 FROM batches WHERE id = ?1 AND job = ?2 AND state = 'leased' AND worker = ?3 AND attempt = ?4",
    )?
    .exists(params![batch, job, worker, attempt])
}

fn exists(all: &Transaction<'_>, batch: i64) -> rusqlite::Result<bool> {
    all.prepare_cached("SELECT 1 FROM batches WHERE id = ?1")?.exists([batch])
}

#[cfg(test)]
#[path = "leases_tests.rs"]
mod tests;
