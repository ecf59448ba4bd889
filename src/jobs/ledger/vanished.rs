//! What a job owns in the ledger and its listing no longer has. The listing is in the order of its keys, and so are the
//! objects: each page is laid beside the same stretch of them, in the transaction that notes the page. So nothing is held
//! in memory, and a listing that goes on after a crash has missed nothing. A whole folder may be gone: such a stretch is
//! walked in several steps, each a transaction that moves the place which the listing has reached, so that others get at
//! the ledger in between.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, Transaction, params};

use super::jobs::parsed;
use super::{Ledger, Page, Planning};
use crate::domain::{CollectionName, ImageUri, JobId, JobPlan};
use crate::jobs::tally;
use crate::sqlite::SqliteError;

/// What of a job's own has vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Losses {
    /// Objects that the job's prefix had in the collection when its listing passed them.
    pub owned: u64,
    /// Of these, those that are gone and were not yet removed.
    pub vanished: u64,
}

impl Losses {
    /// Whether that is more than so many percent of what the job owns, together with what it has removed already.
    pub fn exceed(self, percent: u8, deleted: u64) -> bool {
        u128::from(self.vanished + deleted) * 100 > u128::from(percent) * u128::from(self.owned)
    }
}

/// Objects that one transaction notes as vanished.
const STEP: u64 = 5_000;

/// Notes what the page shows to have vanished: between the page before and its own last key. Where that is more than a
/// step, gives the key that was reached: only the page up to there is laid beside.
pub(super) fn note_page(
    all: &Transaction<'_>,
    job: &str,
    planning: &Planning,
    page: &Page,
    dry_run: Option<&mut JobPlan>,
) -> rusqlite::Result<Option<String>> {
    let (Some(owns), Some(through)) = (&planning.owns, &page.listed_through) else { return Ok(None) };
    let listed = page.images.iter().map(|image| image.uri.as_str());
    let listed = listed.chain(page.others.iter().map(ImageUri::as_str)).collect();
    // The first text after that key.
    let before = format!("{}{through}\0", bucket_of(owns));
    note(all, job, planning, owns, &before, &listed, dry_run)
}

/// Notes what has vanished behind the last key of the whole listing. Where that is more than a step, gives the key that
/// was reached.
pub(super) fn note_rest(
    all: &Transaction<'_>,
    job: &str,
    planning: &Planning,
    dry_run: Option<&mut JobPlan>,
) -> rusqlite::Result<Option<String>> {
    let Some(owns) = &planning.owns else { return Ok(None) };
    note(all, job, planning, owns, &end_of(owns), &HashSet::new(), dry_run)
}

/// Walks what the job owns from the last key of its listing so far to `before`, or until a step is full: then it gives the
/// key of the last object that it has passed.
fn note(
    all: &Transaction<'_>,
    job: &str,
    planning: &Planning,
    owns: &str,
    before: &str,
    listed: &HashSet<&str>,
    mut dry_run: Option<&mut JobPlan>,
) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT listed_through FROM jobs WHERE id = ?1";
    let after: Option<String> = all.prepare_cached(sql)?.query_row([job], |row| row.get(0))?;
    let after = after.map(|key| format!("{}{key}", bucket_of(owns)));
    let from = after.as_deref().unwrap_or(owns);
    let mut insert = all.prepare_cached("INSERT OR IGNORE INTO vanished(job, uri, excluded) VALUES (?1, ?2, ?3)")?;
    let mut statement = all.prepare_cached(
        "SELECT uri FROM objects WHERE collection = ?1 AND uri >= ?2 AND uri < ?3 AND uri IS NOT ?4 ORDER BY uri",
    )?;
    let mut rows = statement.query(params![planning.collection.as_str(), from, before, after])?;
    let (mut owned, mut vanished, mut reached) = (0_u64, 0_u64, None);
    while let Some(row) = rows.next()? {
        let uri = row.get_ref(0)?.as_str()?;
        if listed.contains(uri) {
            owned += 1;
            continue;
        }
        let key = uri.strip_prefix(bucket_of(owns)).unwrap_or(uri);
        // It goes because of a setting, whether its object is there or not: that is not a loss to be limited.
        let excluded = planning.exclude.matches(key);
        owned += u64::from(!excluded);
        match dry_run.as_mut() {
            Some(plan) => {
                plan.add_deleted(key);
                plan.excluded += u64::from(excluded);
            }
            None => drop(insert.execute(params![job, uri, excluded])?),
        }
        vanished += 1;
        if vanished == STEP {
            reached = Some(key.to_owned());
            break;
        }
    }
    all.prepare_cached("UPDATE jobs SET owned = owned + ?2 WHERE id = ?1")?.execute(params![job, owned])?;
    Ok(reached)
}

/// `s3://bucket/` of a URI that may have no key yet.
fn bucket_of(uri: &str) -> &str {
    let rest = uri.find("://").map_or(0, |at| at + 3);
    uri[rest..].find('/').map_or(uri, |at| &uri[..=rest + at])
}

/// The first text that no longer begins with `prefix`, in the order of UTF-8 bytes, which is that of code points.
fn end_of(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        // Past the gap of the surrogates, which are no characters.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            end.push(next);
            break;
        }
    }
    end
}

impl Ledger {
    /// What of a job's own has vanished and is still to be removed. Records of excluded keys are not counted.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn losses(&self, job: JobId) -> Result<Losses, SqliteError> {
        let sql = "SELECT owned FROM jobs WHERE id = ?1";
        let owned = self.reader.call(move |db| db.query_row(sql, [job.to_string()], |row| row.get(0))).await?;
        Ok(Losses { owned, vanished: self.count_uris("vanished", "excluded = 0", job).await? })
    }

    /// Records of excluded keys: how many are still to be removed, and how many have been.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn excluded(&self, job: JobId) -> Result<(u64, u64), SqliteError> {
        let sql = "SELECT excluded_deleted FROM jobs WHERE id = ?1";
        let deleted = self.reader.call(move |db| db.query_row(sql, [job.to_string()], |row| row.get(0))).await?;
        Ok((self.count_uris("vanished", "excluded = 1", job).await?, deleted))
    }

    /// Some of what has vanished, `limit` at most, in order.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn vanished(&self, job: JobId, limit: u32) -> Result<Vec<ImageUri>, SqliteError> {
        self.db
            .call(move |db| {
                db.prepare_cached("SELECT uri FROM vanished WHERE job = ?1 ORDER BY uri LIMIT ?2")?
                    .query_map(params![job.to_string(), limit], |row| {
                        parsed(row, 0, |text| ImageUri::parse(text).ok())
                    })?
                    .collect()
            })
            .await
    }

    /// Notes that every store has removed these: the collection no longer has them, and the job has counted them.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn removed(
        &self,
        job: JobId,
        collection: CollectionName,
        uris: Vec<ImageUri>,
    ) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let job = job.to_string();
                let all = db.transaction()?;
                let (mut deleted, mut excluded) = (0_u64, 0_u64);
                for uri in uris {
                    let gone: Option<u64> = all
                        .prepare_cached("DELETE FROM vanished WHERE job = ?1 AND uri = ?2 RETURNING excluded")?
                        .query_row(params![job, uri.as_str()], |row| row.get(0))
                        .optional()?;
                    deleted += u64::from(gone.is_some());
                    excluded += gone.unwrap_or(0);
                    all.prepare_cached("DELETE FROM objects WHERE collection = ?1 AND uri = ?2")?
                        .execute(params![collection.as_str(), uri.as_str()])?;
                }
                all.execute(
                    "UPDATE jobs SET deleted = deleted + ?2, excluded_deleted = excluded_deleted + ?3 WHERE id = ?1",
                    params![job, deleted, excluded],
                )?;
                all.commit()?;
                tally::items(tally::CountedOutcome::Deleted, deleted);
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
#[path = "vanished_tests.rs"]
mod tests;
