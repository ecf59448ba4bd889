//! Images that were removed permanently from a collection. The row of an image keeps every version of its object away, until
//! a client revokes it: planning, leases and the lane leave the key out, and [`super::objects::put`] refuses it.
//!
//! A row is written before the stores remove the record, and says whether a store may still have it (`pending`). It is valid for
//! every generation of the collection: each function also accepts the name of a generation in the stores.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::key_order::end_of_prefix;
use crate::domain::{CollectionName, ImageId, ImageRef, ImageUri, JobId, Timestamp};
use crate::ledger::generations::owner_sql;

/// Maximum number of rows of a collection: 42 MB in the ledger with URIs of 105 bytes.
pub(crate) const MAX_TOMBSTONES: u64 = 100_000;
/// Maximum number of rows that one transaction deletes.
const ROWS_PER_STEP: u32 = 2_000;

/// An image that was removed permanently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The position in the order of the removals.
    pub number: i64,
    /// The object.
    pub uri: ImageUri,
    /// When the image was removed.
    pub removed_at: Timestamp,
    /// Whether a store may still have the record.
    pub is_pending: bool,
}

/// A page of the images that were removed permanently, the last removal first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TombstonePage {
    /// The images.
    pub tombstones: Vec<Tombstone>,
    /// Number of all images of the collection that were removed permanently.
    pub total: u64,
    /// The number after which the next page begins; `None` on the last page.
    pub next: Option<i64>,
}

/// Records that an image was removed permanently, and that the stores may have its record. Returns `false` if the
/// collection has [`MAX_TOMBSTONES`] others: then nothing is changed.
pub(crate) fn put(tx: &Transaction<'_>, collection: &CollectionName, uri: &ImageUri) -> rusqlite::Result<bool> {
    if repeat_removal(tx, collection, uri)? {
        return Ok(true);
    }
    let put = "INSERT INTO tombstones(collection, uri, image, removed_at) SELECT ?1, ?2, ?3, ?4
               WHERE (SELECT count(*) FROM tombstones WHERE collection = ?1) < ?5";
    let image = uri.id().to_string();
    Ok(tx.execute(put, params![collection, uri, image, Timestamp::now(), MAX_TOMBSTONES])? == 1)
}

/// Has the record of an image removed again if the image was removed permanently. Returns whether it was.
pub(crate) fn repeat_removal(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    uri: &ImageUri,
) -> rusqlite::Result<bool> {
    let owner = owner_sql("?1");
    let repeat = format!("UPDATE tombstones SET pending = pending + 1 WHERE collection = {owner} AND uri = ?2");
    Ok(tx.prepare_cached(&repeat)?.execute(params![collection, uri])? == 1)
}

/// Whether an image was removed permanently.
pub(crate) fn exists(db: &Connection, collection: &CollectionName, uri: &ImageUri) -> rusqlite::Result<bool> {
    let owner = owner_sql("?1");
    db.prepare_cached(&format!("SELECT 1 FROM tombstones WHERE collection = {owner} AND uri = ?2"))?
        .exists(params![collection, uri])
}

/// Returns those of the images that were removed permanently. `images` must be in the order of their URIs.
pub(crate) fn among(
    db: &Connection,
    collection: &CollectionName,
    images: &[ImageRef],
) -> rusqlite::Result<HashSet<ImageUri>> {
    let (Some(first), Some(last)) = (images.first(), images.last()) else { return Ok(HashSet::new()) };
    let owner = owner_sql("?1");
    db.prepare_cached(&format!("SELECT uri FROM tombstones WHERE collection = {owner} AND uri >= ?2 AND uri <= ?3"))?
        .query_map(params![collection, first.uri, last.uri], |row| row.get(0))?
        .collect()
}

/// Returns how many images whose URIs begin with `prefix` were removed permanently.
pub(crate) fn count_below(db: &Connection, collection: &CollectionName, prefix: &str) -> rusqlite::Result<u64> {
    let owner = owner_sql("?1");
    db.prepare_cached(&format!(
        "SELECT count(*) FROM tombstones WHERE collection = {owner} AND uri >= ?2 AND uri < ?3"
    ))?
    .query_row(params![collection, prefix, end_of_prefix(prefix)], |row| row.get(0))
}

/// Returns the row of an image.
pub(crate) fn find(db: &Connection, collection: &CollectionName, id: ImageId) -> rusqlite::Result<Option<Tombstone>> {
    db.prepare_cached("SELECT number, uri, removed_at, pending FROM tombstones WHERE collection = ?1 AND image = ?2")?
        .query_row(params![collection, id.to_string()], read_row)
        .optional()
}

/// Returns at most `limit` images, the last removal first; with `after` only those that follow that number.
pub(crate) fn page(
    db: &Connection,
    collection: &CollectionName,
    after: Option<i64>,
    limit: u32,
) -> rusqlite::Result<TombstonePage> {
    let total = db
        .prepare_cached("SELECT count(*) FROM tombstones WHERE collection = ?1")?
        .query_row([collection], |row| row.get(0))?;
    let mut tombstones = db
        .prepare_cached(
            "SELECT number, uri, removed_at, pending FROM tombstones INDEXED BY tombstones_by_collection
             WHERE collection = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3",
        )?
        // One more, which says whether there is another page.
        .query_map(params![collection, after.unwrap_or(i64::MAX), u64::from(limit) + 1], read_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let has_more = tombstones.len() > limit as usize;
    tombstones.truncate(limit as usize);
    let next = tombstones.last().filter(|_| has_more).map(|last| last.number);
    Ok(TombstonePage { tombstones, total, next })
}

/// Lets an image be indexed again. Returns whether it had been removed permanently.
pub(crate) fn revoke(tx: &Transaction<'_>, collection: &CollectionName, uri: &ImageUri) -> rusqlite::Result<bool> {
    Ok(tx.execute("DELETE FROM tombstones WHERE collection = ?1 AND uri = ?2", params![collection, uri])? == 1)
}

/// Forgets some rows of a collection that is dropped. Returns `false` if there were none left, or if only its first generation
/// is dropped.
pub(super) fn forget_some(tx: &Transaction<'_>, collection: &CollectionName) -> rusqlite::Result<bool> {
    let forgotten = tx
        .prepare_cached(
            "DELETE FROM tombstones WHERE number IN (SELECT number FROM tombstones WHERE collection = ?1 LIMIT ?2)
             AND NOT EXISTS (SELECT 1 FROM generations WHERE collection = ?1 AND state = 'current')",
        )?
        .execute(params![collection, ROWS_PER_STEP])?;
    Ok(forgotten > 0)
}

/// An image whose record must be removed from the stores.
#[derive(Clone, Debug)]
pub(crate) struct PendingRemoval {
    /// The object.
    pub(crate) uri: ImageUri,
    /// The value of `pending` when the row was read.
    version: i64,
}

/// Returns the collections that have records to be removed.
pub(crate) fn pending_collections(db: &Connection) -> rusqlite::Result<Vec<CollectionName>> {
    db.prepare_cached("SELECT DISTINCT collection FROM tombstones WHERE pending > 0")?
        .query_map((), |row| row.get(0))?
        .collect()
}

/// Returns at most `limit` images of a collection whose records must be removed, or only that of `uri`.
pub(crate) fn pending(
    db: &Connection,
    collection: &CollectionName,
    uri: Option<&ImageUri>,
    limit: u32,
) -> rusqlite::Result<Vec<PendingRemoval>> {
    db.prepare_cached(
        "SELECT uri, pending FROM tombstones WHERE collection = ?1 AND pending > 0 AND (?2 IS NULL OR uri = ?2) LIMIT ?3",
    )?
    .query_map(params![collection, uri, limit], |row| Ok(PendingRemoval { uri: row.get(0)?, version: row.get(1)? }))?
    .collect()
}

/// Records that the stores have removed the records, unless these may have been written again in the meantime.
pub(crate) fn removed(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    removals: &[PendingRemoval],
) -> rusqlite::Result<()> {
    let mut update =
        tx.prepare_cached("UPDATE tombstones SET pending = 0 WHERE collection = ?1 AND uri = ?2 AND pending = ?3")?;
    for PendingRemoval { uri, version } in removals {
        update.execute(params![collection, uri, version])?;
    }
    Ok(())
}

/// Takes the images that were removed permanently out of a batch of a job. They count as skipped. Returns whether the batch
/// has other images.
pub(super) fn leave_out(tx: &Transaction<'_>, job: JobId, batch: i64) -> rusqlite::Result<bool> {
    let left_out = tx
        .prepare_cached(&format!(
            "DELETE FROM items WHERE batch = ?2 AND EXISTS
             (SELECT 1 FROM tombstones WHERE uri = items.uri
              AND collection = (SELECT {} FROM jobs WHERE id = ?1))",
            owner_sql("jobs.collection")
        ))?
        .execute(params![job, batch])?;
    if left_out == 0 {
        return Ok(true);
    }
    tx.execute("UPDATE jobs SET skipped = skipped + ?2 WHERE id = ?1", params![job, left_out])?;
    let delete = "DELETE FROM batches WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM items WHERE batch = ?1)";
    Ok(tx.execute(delete, [batch])? == 0)
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    let is_pending = row.get::<_, i64>(3)? > 0;
    Ok(Tombstone { number: row.get(0)?, uri: row.get(1)?, removed_at: row.get(2)?, is_pending })
}

#[cfg(test)]
mod tests;
