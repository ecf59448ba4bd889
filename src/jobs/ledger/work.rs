//! The work that is left: items in batches. An item's row goes when its report comes, so a report that comes twice counts
//! once.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Ledger, jobs, leases, metadata, objects};
use crate::domain::{CollectionName, Holders, ImageRef, ImageUri, ItemFailure, JobCounts, JobId};
use crate::pipeline::{Fate, Indexed, Outcome};
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

/// What became of items of one batch, as the worker that leased it says.
#[derive(Clone, Debug)]
pub struct Report {
    /// The batch.
    pub batch: i64,
    /// The lease of it under which the worker worked.
    pub attempt: u32,
    /// Of its items.
    pub outcomes: Vec<Outcome>,
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
        let worker = worker.to_owned();
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let (mut done, mut failed, mut lost) = (0_u64, 0_u64, Vec::new());
                for Report { batch, attempt, outcomes } in reports {
                    let held = leases::holds(&all, &job, &worker, batch, attempt)?;
                    for outcome in outcomes {
                        let Some((uri, now_in)) = item(&all, &job, outcome.ticket)? else { continue };
                        let held = held && now_in == batch;
                        if !held && !lost.contains(&batch) {
                            lost.push(batch);
                        }
                        match outcome.fate {
                            Fate::Indexed(indexed) => {
                                let row = joined(&all, &job, &uri, &indexed)?;
                                objects::put(&all, &collection, &uri, &space, &indexed, row.as_deref())?;
                                done += 1;
                            }
                            Fate::Lags(indexed) if held => {
                                lag(&all, outcome.ticket, &indexed.stores)?;
                                let row = joined(&all, &job, &uri, &indexed)?;
                                objects::put(&all, &collection, &uri, &space, &indexed, row.as_deref())?;
                                continue;
                            }
                            Fate::Failed(failure) if held => {
                                // Whatever was said to have failed: it is this item that did.
                                let uri = ImageUri::parse(&uri).unwrap_or(failure.uri);
                                let failure = ItemFailure { uri, ..failure };
                                insert_failure(&all, &job, &failure)?;
                                failed += 1;
                            }
                            Fate::Lags(_) | Fate::Failed(_) => continue,
                        }
                        remove_item(&all, outcome.ticket, now_in)?;
                    }
                }
                all.prepare_cached("UPDATE jobs SET done = done + ?2, failed = failed + ?3 WHERE id = ?1")?
                    .execute(params![job, done, failed])?;
                let counts = jobs::counts(&all, &job)?;
                all.commit()?;
                Ok(Reported { counts, accepted: done + failed, lost })
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

/// Notes the stores that have an item which is not done.
fn lag(all: &Transaction<'_>, ticket: i64, have: &Holders) -> rusqlite::Result<()> {
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
mod tests;
