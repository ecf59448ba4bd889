//! The work that is left: items in batches, batches under lease. An item's row goes when its report comes, so a report
//! that comes twice counts once.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Ledger, jobs, metadata, objects};
use crate::domain::{CollectionName, Holders, ImageRef, ImageUri, ItemFailure, JobCounts, JobId};
use crate::pipeline::{Fate, Indexed, Outcome, Task};
use crate::sqlite::SqliteError;

/// A page of a listing, sorted out.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The last key of the page: a job that is interrupted lists on after it.
    pub listed_through: Option<String>,
    /// Keys in it.
    pub listed: u64,
    /// Of these, no images by their name.
    pub skipped: u64,
    /// The others.
    pub images: Vec<ImageRef>,
}

/// What a job's listing is held against, and how it is cut.
#[derive(Clone, Debug)]
pub struct Planning {
    /// Where vectors go.
    pub collection: CollectionName,
    /// [`crate::domain::Space::name`] of its space.
    pub space: String,
    /// Every configured store: an object is unchanged where each of these has it.
    pub stores: Holders,
    /// Images in one batch.
    pub lease_size: usize,
    /// Images that the whole job may take.
    pub max_items: Option<u64>,
    /// Whether the job has a metadata file: then an object is unchanged only where its row is, too.
    pub metadata: bool,
}

/// What asking for work gave.
#[derive(Debug)]
pub enum Leased {
    /// These, now under lease.
    Batch(Vec<Task>),
    /// Nothing now, but the listing goes on.
    NothingYet,
    /// Nothing any more.
    NothingLeft,
}

impl Ledger {
    /// Where the listing of a job stands: its last key, and whether it is complete.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn listing(&self, job: JobId) -> Result<(Option<String>, bool), SqliteError> {
        self.db
            .call(move |db| {
                db.query_row("SELECT listed_through, planned FROM jobs WHERE id = ?1", [job.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
            })
            .await
    }

    /// Notes a page of the listing: what every store has already, unchanged, is counted; the rest becomes batches, each
    /// item with the stores that have it already. Says whether there was room for all of the page.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn plan(&self, job: JobId, page: Page, planning: Planning) -> Result<bool, SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let Planning { collection, space, stores, lease_size, max_items, metadata } = planning;
                let all = db.transaction()?;
                let before = jobs::counts(&all, &job)?;
                let mut room =
                    max_items.map(|most| most.saturating_sub(before.listed - before.skipped - before.unchanged));
                let mut changed = Vec::new();
                let (mut unchanged, mut over) = (0_u64, 0_u64);
                for image in page.images {
                    let row = metadata.then(|| metadata::digest(&all, &job, image.uri.as_str())).transpose()?;
                    let have = objects::holders(&all, &collection, &space, &image, row.as_deref())?;
                    if have.cover(&stores) {
                        unchanged += 1;
                    } else if room == Some(0) {
                        over += 1;
                    } else {
                        room = room.map(|left| left - 1);
                        changed.push((image, have.common(&stores)));
                    }
                }
                for batch in changed.chunks(lease_size.max(1)) {
                    insert_batch(&all, &job, batch)?;
                }
                all.prepare_cached(
                    "UPDATE jobs SET listed = listed + ?2, skipped = skipped + ?3, unchanged = unchanged + ?4,
                     listed_through = coalesce(?5, listed_through) WHERE id = ?1",
                )?
                .execute(params![
                    job,
                    page.listed - over,
                    page.skipped,
                    unchanged,
                    page.listed_through
                ])?;
                all.commit()?;
                Ok(over == 0)
            })
            .await
    }

    /// Notes that the listing of a job is complete.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn planned(&self, job: JobId) -> Result<(), SqliteError> {
        self.db
            .call(move |db| db.execute("UPDATE jobs SET planned = 1 WHERE id = ?1", [job.to_string()]).map(drop))
            .await
    }

    /// Leases the next batch of a job to a worker.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn lease(&self, job: JobId, worker: &'static str) -> Result<Leased, SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let batch: Option<i64> = all
                    .prepare_cached(
                        "UPDATE batches SET state = 'leased', worker = ?2, attempt = attempt + 1 WHERE id =
                         (SELECT id FROM batches WHERE job = ?1 AND state = 'todo' ORDER BY id LIMIT 1) RETURNING id",
                    )?
                    .query_row(params![job, worker], |row| row.get(0))
                    .optional()?;
                let leased = if let Some(batch) = batch {
                    Leased::Batch(tasks(&all, &job, batch)?)
                } else {
                    let planned = all.query_row("SELECT planned FROM jobs WHERE id = ?1", [&job], |row| row.get(0));
                    if planned.optional()?.unwrap_or(true) { Leased::NothingLeft } else { Leased::NothingYet }
                };
                all.commit()?;
                Ok(leased)
            })
            .await
    }

    /// Notes what became of items, in one transaction, and gives the job's counts after it. Items that were reported
    /// before are passed over; one that some store still lacks stays, with those that have it.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn report(
        &self,
        job: JobId,
        collection: CollectionName,
        space: String,
        outcomes: Vec<Outcome>,
    ) -> Result<JobCounts, SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let (mut done, mut failed) = (0_u64, 0_u64);
                for outcome in outcomes {
                    if let Fate::Lags(indexed) = &outcome.fate {
                        if let Some(uri) = lag(&all, &job, outcome.ticket, &indexed.stores)? {
                            let row = joined(&all, &job, &uri, indexed)?;
                            objects::put(&all, &collection, &uri, &space, indexed, row.as_deref())?;
                        }
                        continue;
                    }
                    let Some((uri, batch)) = take_item(&all, &job, outcome.ticket)? else { continue };
                    match outcome.fate {
                        Fate::Lags(_) => {}
                        Fate::Indexed(indexed) => {
                            let row = joined(&all, &job, &uri, &indexed)?;
                            objects::put(&all, &collection, &uri, &space, &indexed, row.as_deref())?;
                            done += 1;
                        }
                        Fate::Failed(failure) => {
                            insert_failure(&all, &job, &failure)?;
                            failed += 1;
                        }
                    }
                    all.prepare_cached(
                        "DELETE FROM batches WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM items WHERE batch = ?1)",
                    )?
                    .execute([batch])?;
                }
                all.prepare_cached("UPDATE jobs SET done = done + ?2, failed = failed + ?3 WHERE id = ?1")?
                    .execute(params![job, done, failed])?;
                let counts = jobs::counts(&all, &job)?;
                all.commit()?;
                Ok(counts)
            })
            .await
    }

    /// Gives back every lease of a worker that is no more, and takes away what a crash left of finished jobs: at start,
    /// for the pool of the process before. Says how many leases were given back.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn end_leases(&self, worker: &'static str) -> Result<usize, SqliteError> {
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                for table in ["items", "batches", "metadata"] {
                    let of_finished = "SELECT id FROM jobs WHERE state NOT IN ('PENDING', 'RUNNING')";
                    all.execute(&format!("DELETE FROM {table} WHERE job IN ({of_finished})"), ())?;
                }
                let given_back = all.execute(
                    "UPDATE batches SET state = 'todo', worker = NULL WHERE state = 'leased' AND worker = ?1",
                    [worker],
                )?;
                all.commit()?;
                Ok(given_back)
            })
            .await
    }
}

fn insert_batch(all: &Transaction<'_>, job: &str, images: &[(ImageRef, Holders)]) -> rusqlite::Result<()> {
    all.prepare_cached("INSERT INTO batches(job, state) VALUES (?1, 'todo')")?.execute([job])?;
    let batch = all.last_insert_rowid();
    let mut insert =
        all.prepare_cached("INSERT INTO items(job, batch, uri, etag, size, have) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (image, have) in images {
        insert.execute(params![job, batch, image.uri.as_str(), image.etag, image.size_bytes, have.to_string()])?;
    }
    Ok(())
}

fn tasks(all: &Transaction<'_>, job: &str, batch: i64) -> rusqlite::Result<Vec<Task>> {
    all.prepare_cached("SELECT id, uri, etag, size, have FROM items WHERE batch = ?1 ORDER BY id")?
        .query_map([batch], |row| {
            let uri = jobs::parsed(row, 1, |text| ImageUri::parse(text).ok())?;
            let image = ImageRef { uri, etag: row.get(2)?, size_bytes: row.get(3)?, modified: None };
            let metadata = metadata::columns(all, job, &image.uri)?;
            Ok(Task { ticket: row.get(0)?, image, have: Holders::parse(&row.get::<_, String>(4)?), metadata })
        })?
        .collect()
}

/// Notes the stores that have an item which is not done; gives its URI.
fn lag(all: &Transaction<'_>, job: &str, ticket: i64, have: &Holders) -> rusqlite::Result<Option<String>> {
    all.prepare_cached("UPDATE items SET have = ?3 WHERE id = ?1 AND job = ?2 RETURNING uri")?
        .query_row(params![ticket, job, have.to_string()], |row| row.get(0))
        .optional()
}

/// The digest of the row that a record was joined with; `None` where it is a copy, whose row is known already.
fn joined(all: &Transaction<'_>, job: &str, uri: &str, indexed: &Indexed) -> rusqlite::Result<Option<String>> {
    if indexed.copied { Ok(None) } else { metadata::digest(all, job, uri).map(Some) }
}

fn take_item(all: &Transaction<'_>, job: &str, ticket: i64) -> rusqlite::Result<Option<(String, i64)>> {
    all.prepare_cached("DELETE FROM items WHERE id = ?1 AND job = ?2 RETURNING uri, batch")?
        .query_row(params![ticket, job], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn insert_failure(all: &Transaction<'_>, job: &str, failure: &ItemFailure) -> rusqlite::Result<()> {
    all.prepare_cached("INSERT INTO failures(job, uri, class, message, attempts) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![job, failure.uri.as_str(), failure.class.as_str(), failure.message, failure.attempts])
        .map(drop)
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
