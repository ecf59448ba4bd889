//! Finds the objects that a job owns in the ledger and that its listing no longer contains. The listing is in the order
//! of its keys, and so are the objects: each page is compared with the objects of the same range, in the transaction
//! that records the page. So nothing is kept in memory, and a listing that continues after a crash has missed nothing.
//! A whole folder can have vanished: such a range is processed in several steps. Each step is a transaction that also
//! records how far the listing has got, so that other calls can use the ledger in between.

use std::collections::HashSet;
use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::key_order::end_of_prefix;
use crate::domain::{CollectionName, ImageUri, JobId, JobPlan};
use crate::ledger::objects::forget::count_uris;
use crate::ledger::planning::ranges::KeyRange;
use crate::ledger::planning::{Page, Planning, listing};
use crate::ledger::{Step, objects};

/// How many of the objects that a job owns have vanished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Objects below the job's prefix that the collection had when the listing passed them.
    pub(crate) owned: u64,
    /// Objects among them that have vanished and are not yet removed.
    pub(crate) vanished: u64,
}

impl Losses {
    /// Whether the vanished objects, together with the `deleted` ones that the job has removed already, are more than
    /// `percent` percent of the objects that the job owns.
    pub(crate) fn exceed(self, percent: u8, deleted: u64) -> bool {
        u128::from(self.vanished + deleted) * 100 > u128::from(percent) * u128::from(self.owned)
    }
}

/// Maximum number of vanished objects that one transaction records.
const MAX_VANISHED_PER_STEP: u64 = 5_000;

/// Records the objects that vanished between the previous page and the last key of this page. If there are more than
/// fit into one step, returns the last key that was processed: only the page up to this key is compared.
pub(crate) fn record_page(
    tx: &Transaction<'_>,
    job: JobId,
    planning: &Planning,
    page: &Page,
    dry_run: Option<&mut JobPlan>,
) -> rusqlite::Result<Option<String>> {
    let (Some(owned_prefix), Some(through)) = (&planning.owned_prefix, &page.listed_through) else { return Ok(None) };
    let listed = page.images.iter().map(|image| image.uri.as_str());
    let listed = listed.chain(page.others.iter().map(ImageUri::as_str)).collect();
    // The first possible text after that key.
    let before = format!("{}{through}\0", bucket_of(owned_prefix));
    let after = listing::position(tx, job, page.range.as_deref())?;
    record_vanished(tx, job, planning, (after, &before), &listed, dry_run)
}

/// Records the objects that vanished after the last key of a range, or of the whole listing if it has no ranges. If
/// there are more than fit into one step, returns the last key that was processed.
pub(crate) fn record_rest(
    tx: &Transaction<'_>,
    job: JobId,
    planning: &Planning,
    range: Option<&KeyRange>,
    dry_run: Option<&mut JobPlan>,
) -> rusqlite::Result<Option<String>> {
    let Some(owned_prefix) = &planning.owned_prefix else { return Ok(None) };
    let before = match range.and_then(|range| range.through.as_ref()) {
        // The first possible text after that key.
        Some(through) => format!("{}{through}\0", bucket_of(owned_prefix)),
        None => end_of_prefix(owned_prefix),
    };
    let after = listing::position(tx, job, range.map(|range| range.after.as_str()))?;
    record_vanished(tx, job, planning, (after, &before), &HashSet::new(), dry_run)
}

/// Reads the objects that the job owns after a key and before a URI, or until a step is full: then it returns the key
/// of the last object that it has read.
fn record_vanished(
    tx: &Transaction<'_>,
    job: JobId,
    planning: &Planning,
    (after, before): (Option<String>, &str),
    listed: &HashSet<&str>,
    mut dry_run: Option<&mut JobPlan>,
) -> rusqlite::Result<Option<String>> {
    let Some(owned_prefix) = &planning.owned_prefix else { return Ok(None) };
    let after = after.map(|key| format!("{}{key}", bucket_of(owned_prefix)));
    // A bucket can list keys outside the prefix. The objects there are never recorded.
    let start = after.as_deref().unwrap_or(owned_prefix).max(owned_prefix);
    let end = end_of_prefix(owned_prefix);
    let before = before.min(&end);
    let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO vanished(job, uri, excluded) VALUES (?1, ?2, ?3)")?;
    let mut statement = tx.prepare_cached(
        "SELECT uri FROM objects WHERE collection = ?1 AND uri >= ?2 AND uri < ?3 AND uri IS NOT ?4 ORDER BY uri",
    )?;
    let mut rows = statement.query(params![planning.collection, start, before, after])?;
    let (mut owned, mut vanished, mut reached) = (0_u64, 0_u64, None);
    while let Some(row) = rows.next()? {
        let uri = row.get_ref(0)?.as_str()?;
        if listed.contains(uri) {
            owned += 1;
            continue;
        }
        let key = uri.strip_prefix(bucket_of(owned_prefix)).unwrap_or(uri);
        // The record is removed because of a setting, even if its object exists: this is not a loss that must be
        // limited.
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
        if vanished == MAX_VANISHED_PER_STEP {
            reached = Some(key.to_owned());
            break;
        }
    }
    tx.prepare_cached("UPDATE jobs SET owned = owned + ?2 WHERE id = ?1")?.execute(params![job, owned])?;
    Ok(reached)
}

/// Returns `s3://bucket/` for a URI, which can be without a key.
fn bucket_of(uri: &str) -> &str {
    let rest = uri.find("://").map_or(0, |at| at + 3);
    uri[rest..].find('/').map_or(uri, |at| &uri[..=rest + at])
}

/// Returns, in steps, how many of the objects that a job owns have vanished and are still to be removed. Records of
/// excluded keys are not counted.
pub(crate) fn losses(job: JobId) -> impl FnMut(&Connection) -> Step<Losses> + Send + 'static {
    let condition = "excluded = 0 AND uri NOT IN (SELECT uri FROM touched WHERE job = ?1)";
    let mut count = count_uris("vanished", condition, job);
    move |db| {
        let ControlFlow::Break(vanished) = count(db)? else { return Ok(ControlFlow::Continue(())) };
        let owned = db.query_row("SELECT owned FROM jobs WHERE id = ?1", [job], |row| row.get(0))?;
        Ok(ControlFlow::Break(Losses { owned, vanished }))
    }
}

/// Counts, in steps, the records of excluded keys that are still to be removed.
pub(crate) fn excluded(job: JobId) -> impl FnMut(&Connection) -> Step<u64> + Send + 'static {
    count_uris("vanished", "excluded = 1", job)
}

/// Returns how many records of excluded keys were removed.
pub(crate) fn excluded_removed(db: &Connection, job: JobId) -> rusqlite::Result<u64> {
    db.query_row("SELECT excluded_deleted FROM jobs WHERE id = ?1", [job], |row| row.get(0))
}

/// Returns at most `limit` vanished objects, in the order of their URIs; without those that were written after the job had
/// listed them.
pub(crate) fn list(db: &Connection, job: JobId, limit: u32) -> rusqlite::Result<Vec<ImageUri>> {
    db.prepare_cached(
        "SELECT uri FROM vanished WHERE job = ?1 AND uri NOT IN (SELECT uri FROM touched WHERE job = ?1)
         ORDER BY uri LIMIT ?2",
    )?
    .query_map(params![job, limit], |row| row.get(0))?
    .collect()
}

/// Records that every store has removed these objects: the collection no longer has them, and they count as deleted by
/// the job. Returns how many were not counted before.
pub(crate) fn remove(
    tx: &Transaction<'_>,
    job: JobId,
    collection: &CollectionName,
    uris: &[ImageUri],
) -> rusqlite::Result<u64> {
    let (mut deleted, mut excluded) = (0_u64, 0_u64);
    for uri in uris {
        let gone: Option<u64> = tx
            .prepare_cached("DELETE FROM vanished WHERE job = ?1 AND uri = ?2 RETURNING excluded")?
            .query_row(params![job, uri], |row| row.get(0))
            .optional()?;
        deleted += u64::from(gone.is_some());
        excluded += gone.unwrap_or(0);
        objects::forget(tx, collection, uri)?;
    }
    tx.execute(
        "UPDATE jobs SET deleted = deleted + ?2, excluded_deleted = excluded_deleted + ?3 WHERE id = ?1",
        params![job, deleted, excluded],
    )?;
    Ok(deleted)
}

#[cfg(test)]
#[path = "vanished_tests.rs"]
mod tests;
