//! The keys of direct uploads: a key is claimed before its object is stored, so that the lane finds it after a crash.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{KeyOwner, PendingKey, count_of_owner};
use crate::domain::{CollectionName, ImageUri};
use crate::ledger::tombstones;

/// What [`claim`] did.
#[derive(Clone, Debug)]
pub(crate) enum Claim {
    /// The key belongs to the caller, who must end the work on it or give it back.
    Claimed {
        /// The key.
        key: PendingKey,
        /// Whether the claim has created its row.
        is_new: bool,
    },
    /// Other work on the key is in progress.
    Busy,
    /// `max` keys wait.
    Full,
    /// The image was removed permanently.
    Removed,
}

/// Claims a key for an upload into a collection. At most `max` keys of uploads into a collection wait.
pub(crate) fn claim(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    uri: &ImageUri,
    now: i64,
    max: u64,
) -> rusqlite::Result<Claim> {
    if tombstones::exists(tx, collection, uri)? {
        return Ok(Claim::Removed);
    }
    let owner = KeyOwner::Uploads(collection.clone());
    if count_of_owner(tx, &owner)? >= max && find(tx, collection, uri)?.is_none() {
        return Ok(Claim::Full);
    }
    let is_new = tx
        .prepare_cached("INSERT OR IGNORE INTO events(mirror, uri, due, received) VALUES (?1, ?2, ?3, ?3)")?
        .execute(params![owner, uri, now])?
        > 0;
    Ok(reclaim(tx, collection, uri)?.map_or(Claim::Busy, |key| Claim::Claimed { key, is_new }))
}

/// Forgets a claim that has created its row and has not changed anything.
pub(crate) fn forget_claim(tx: &Transaction<'_>, key: &PendingKey) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([key.id]).map(drop)
}

/// Claims a key that waits. Returns `None` if no such key waits, or if other work on it is in progress.
pub(crate) fn reclaim(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    uri: &ImageUri,
) -> rusqlite::Result<Option<PendingKey>> {
    let owner = KeyOwner::Uploads(collection.clone());
    let key = tx
        .prepare_cached(
            "SELECT id, uri, version, attempts, started, received FROM events
             WHERE mirror = ?1 AND uri = ?2 AND taken = 0",
        )?
        .query_row(params![owner, uri], PendingKey::from_row)
        .optional()?;
    if let Some(key) = &key {
        tx.prepare_cached("UPDATE events SET taken = 1, started = 1 WHERE id = ?1")?.execute([key.id])?;
    }
    Ok(key)
}

/// Returns how many keys of uploads wait, over all collections.
pub(crate) fn count_uploads(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT count(*) FROM events WHERE mirror >= '/' AND mirror < '0'")?
        .query_row((), |row| row.get(0))
}

/// Whether a key waits: `Some(true)` while work on it is in progress.
pub(crate) fn find(db: &Connection, collection: &CollectionName, uri: &ImageUri) -> rusqlite::Result<Option<bool>> {
    let owner = KeyOwner::Uploads(collection.clone());
    db.prepare_cached("SELECT taken FROM events WHERE mirror = ?1 AND uri = ?2")?
        .query_row(params![owner, uri], |row| row.get(0))
        .optional()
}
