//! The keys that events have named, and those of direct uploads. Each key is compared with the bucket later, so that its row
//! says only that something may have changed. A row is deleted when the stores agree with the bucket.

mod key_owner;
mod uploads;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::{CollectionName, ImageRef, ImageUri, Indexed, JobId, MirrorName, StoreSet};
use crate::ledger::columns::Json;
use crate::ledger::generations::owner_sql;
use crate::ledger::objects::{self, ObjectRow};

pub(crate) use key_owner::KeyOwner;
pub(crate) use uploads::{Claim, claim, count_uploads, find, forget_claim, reclaim};

/// A key that is to be compared with the bucket.
#[derive(Clone, Debug)]
pub(crate) struct PendingKey {
    /// The number of the row. It is never used twice.
    pub(crate) id: i64,
    /// The object.
    pub(crate) uri: ImageUri,
    /// Is increased by each event of the key.
    version: u64,
    /// How often the key was tried without success.
    pub(crate) attempts: u32,
    /// Whether an earlier attempt may have written a record, so that the ledger cannot say what the stores have.
    pub(crate) is_started: bool,
    /// When the first event of the key arrived, in Unix milliseconds.
    pub(crate) received: i64,
}

/// What [`add`] did with keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// Keys that are new.
    pub(crate) new: u64,
    /// Keys that were waiting already.
    pub(crate) coalesced: u64,
    /// Keys that were not recorded, because the limit of waiting keys was reached.
    pub(crate) over_limit: u64,
}

/// Records keys, which are due at once, at most as many new ones as there is `room` for. Reduces `room`.
pub(crate) fn add(
    tx: &Transaction<'_>,
    mirror: &MirrorName,
    uris: &[ImageUri],
    now: i64,
    room: &mut u64,
) -> rusqlite::Result<Added> {
    let mut added = Added::default();
    for uri in uris {
        let known = tx
            .prepare_cached("UPDATE events SET version = version + 1 WHERE mirror = ?1 AND uri = ?2")?
            .execute(params![mirror, uri])?;
        if known > 0 {
            added.coalesced += 1;
        } else if *room == 0 {
            added.over_limit += 1;
        } else {
            tx.prepare_cached("INSERT INTO events(mirror, uri, due, received) VALUES (?1, ?2, ?3, ?3)")?
                .execute(params![mirror, uri, now])?;
            added.new += 1;
            *room -= 1;
        }
    }
    Ok(added)
}

/// Returns how many keys of a mirror wait.
pub(crate) fn count(db: &Connection, mirror: &MirrorName) -> rusqlite::Result<u64> {
    count_of_owner(db, &KeyOwner::Mirror(mirror.clone()))
}

fn count_of_owner(db: &Connection, owner: &KeyOwner) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT count(*) FROM events WHERE mirror = ?1")?.query_row([owner], |row| row.get(0))
}

/// Forgets the keys of an owner.
pub(crate) fn clear(tx: &Transaction<'_>, owner: &KeyOwner) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM events WHERE mirror = ?1", [owner]).map(drop)
}

/// Gives back the keys that an earlier process had taken. All keys are due, in case the clock was changed.
pub(crate) fn give_back_all(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute("UPDATE events SET taken = 0, due = 0", ()).map(drop)
}

/// Takes at most `limit` keys that are due, all of one owner: uploads, or an active mirror.
pub(crate) fn take(
    tx: &Transaction<'_>,
    now: i64,
    limit: u32,
) -> rusqlite::Result<Option<(KeyOwner, Vec<PendingKey>)>> {
    let owner: Option<KeyOwner> = tx
        .prepare_cached(&format!(
            "SELECT mirror FROM events WHERE taken = 0 AND due <= ?1 AND {IS_ACTIVE} ORDER BY due, id LIMIT 1"
        ))?
        .query_row([now], |row| row.get(0))
        .optional()?;
    let Some(owner) = owner else { return Ok(None) };
    let keys: Vec<PendingKey> = tx
        .prepare_cached(
            "SELECT id, uri, version, attempts, started, received FROM events
             WHERE taken = 0 AND due <= ?1 AND mirror = ?2 ORDER BY due, id LIMIT ?3",
        )?
        .query_map(params![now, owner, limit], PendingKey::from_row)?
        .collect::<rusqlite::Result<_>>()?;
    for key in &keys {
        tx.prepare_cached("UPDATE events SET taken = 1, started = 1 WHERE id = ?1")?.execute([key.id])?;
    }
    Ok(Some((owner, keys)))
}

impl PendingKey {
    /// Reads the columns `id, uri, version, attempts, started, received`.
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            uri: row.get(1)?,
            version: row.get(2)?,
            attempts: row.get(3)?,
            is_started: row.get(4)?,
            received: row.get(5)?,
        })
    }
}

/// Whether the keys of the owner of a row are worked on.
const IS_ACTIVE: &str =
    "(mirror >= '/' AND mirror < '0' OR mirror IN (SELECT name FROM mirrors WHERE state = 'active'))";

/// Returns when the next key of an active owner is due, in Unix milliseconds.
pub(crate) fn next_due(db: &Connection) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(&format!("SELECT min(due) FROM events WHERE taken = 0 AND {IS_ACTIVE}"))?
        .query_row((), |row| row.get(0))
}

/// Ends the work on a key: the stores agree with what the bucket had. If another event of the key has arrived meanwhile,
/// the key waits until `next`.
pub(crate) fn done(tx: &Transaction<'_>, key: &PendingKey, next: i64) -> rusqlite::Result<()> {
    let deleted = tx
        .prepare_cached("DELETE FROM events WHERE id = ?1 AND version = ?2")?
        .execute(params![key.id, key.version])?;
    if deleted == 0 {
        tx.prepare_cached(
            "UPDATE events SET taken = 0, started = 0, attempts = 0, due = ?2, received = ?2 WHERE id = ?1",
        )?
        .execute(params![key.id, next])?;
    }
    Ok(())
}

/// Gives a key back, which is due again at `due`. `started` says whether the attempt may have written a record.
pub(crate) fn give_back(
    tx: &Transaction<'_>,
    key: &PendingKey,
    due: i64,
    started: bool,
    is_failure: bool,
) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE events SET taken = 0, started = ?2, due = ?3, attempts = attempts + ?4 WHERE id = ?1")?
        .execute(params![key.id, started || key.is_started, due, is_failure])
        .map(drop)
}

/// Whether one of these jobs has leased the object, so that it may be writing its record now.
pub(crate) fn is_leased(
    db: &Connection,
    running: &[JobId],
    collection: &CollectionName,
    uri: &ImageUri,
) -> rusqlite::Result<bool> {
    if running.is_empty() {
        return Ok(false);
    }
    // The number of leased items is small, that of all items is not: so the query begins with the batches.
    db.prepare_cached(&format!(
        "SELECT 1 FROM jobs CROSS JOIN batches ON batches.job = jobs.id AND batches.state = 'leased'
         CROSS JOIN items ON items.batch = batches.id
         WHERE jobs.id IN (SELECT value FROM json_each(?1)) AND jobs.collection IN (?2, {}) AND items.uri = ?3 LIMIT 1",
        owner_sql("?2")
    ))?
    .exists(params![Json(running), collection, uri])
}

/// Returns what the ledger knows of an object.
pub(crate) fn object(
    db: &Connection,
    collection: &CollectionName,
    uri: &ImageUri,
) -> rusqlite::Result<Option<ObjectRow>> {
    db.prepare_cached("SELECT etag, size, space, stores FROM objects WHERE collection = ?1 AND uri = ?2")?
        .query_row(params![collection, uri], |row| {
            let (etag, size_bytes, space, stores) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(ObjectRow { uri: uri.clone(), etag, size_bytes, space, stores })
        })
        .optional()
}

/// Whether this version of an object, in this space, is in every one of these stores.
pub(crate) fn is_current(known: &ObjectRow, image: &ImageRef, space: &str, stores: &StoreSet) -> bool {
    image.etag.as_ref() == Some(&known.etag)
        && image.size_bytes == known.size_bytes
        && known.space == space
        && known.stores.cover(stores)
}

/// The record of a key that was written or removed.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    /// The collection.
    pub(crate) collection: &'a CollectionName,
    /// What the ledger knew of the object before.
    pub(crate) before: Option<&'a ObjectRow>,
    /// What was written, with the name of its space; `None` if the record was removed.
    pub(crate) indexed: Option<(&'a Indexed, &'a str)>,
    /// Jobs that run in this process.
    pub(crate) running: &'a [JobId],
}

/// Records what was written for a key. Returns `false` if a job may have written its record at the same time: then the
/// order of the two writes in the stores is not known. The ledger forgets the object, and the key must be compared again.
/// The same applies if the image was removed permanently in the meantime.
pub(crate) fn record(tx: &Transaction<'_>, key: &PendingKey, written: &Written<'_>) -> rusqlite::Result<bool> {
    let Written { collection, before, indexed, running } = *written;
    let now = object(tx, collection, &key.uri)?;
    if now.as_ref() != before || is_leased(tx, running, collection, &key.uri)? {
        objects::forget(tx, collection, &key.uri)?;
        return Ok(false);
    }
    match indexed {
        // Without a row of a metadata file: the next run of the mirror adds it.
        Some((indexed, space)) => {
            if !objects::put(tx, collection, &key.uri, space, indexed, Some(""))? {
                return Ok(false);
            }
            keep_from_sync(tx, collection, &key.uri)?;
        }
        None => objects::forget(tx, collection, &key.uri)?,
    }
    Ok(true)
}

/// Keeps the `sync` of running and paused jobs from removing an object that is newer than their listing.
fn keep_from_sync(tx: &Transaction<'_>, collection: &CollectionName, uri: &ImageUri) -> rusqlite::Result<()> {
    let running = format!(
        "SELECT id FROM jobs INDEXED BY jobs_waiting WHERE state IN ('RUNNING', 'PAUSED') AND collection = {}",
        owner_sql("?1")
    );
    tx.prepare_cached(&format!("INSERT OR IGNORE INTO touched(job, uri) SELECT id, ?2 FROM ({running})"))?
        .execute(params![collection, uri])?;
    tx.prepare_cached(&format!("DELETE FROM vanished WHERE uri = ?2 AND job IN ({running})"))?
        .execute(params![collection, uri])
        .map(drop)
}

#[cfg(test)]
mod tests;
