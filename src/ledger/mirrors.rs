//! Mirrors, and which jobs are their runs.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::{JobId, JobRecord, Mirror, MirrorName, MirrorSpec, Timestamp};
use crate::ledger::columns::Json;
use crate::ledger::events::{self, KeyOwner};
use crate::ledger::jobs::{self, UNFINISHED};

const COLUMNS: &str = "name, spec, state, reason, created_at, next_run, list_soon, removed";

/// What [`put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// The mirror is new.
    Created,
    /// The mirror existed and has the new spec.
    Replaced,
    /// There are too many mirrors, so that nothing was changed.
    TooMany,
}

/// Creates a mirror with this token, unless there are `max` others, or replaces the spec of an existing one, whose token
/// and state stay. A mirror that is new, or that has another scope than before, is listed soon.
pub(crate) fn put(
    tx: &Transaction<'_>,
    name: &MirrorName,
    spec: &MirrorSpec,
    token: &str,
    next_run: Option<Timestamp>,
    max: usize,
) -> rusqlite::Result<Put> {
    if let Some(before) = find(tx, name)? {
        let is_same_scope = before.spec.has_same_scope(spec);
        if !is_same_scope {
            events::clear(tx, &KeyOwner::Mirror(name.clone()))?;
        }
        tx.execute(
            "UPDATE mirrors SET spec = ?2, next_run = ?3, list_soon = max(list_soon, ?4) WHERE name = ?1",
            params![name, Json(spec), next_run, !is_same_scope],
        )?;
        return Ok(Put::Replaced);
    }
    let added = tx.execute(
        "INSERT INTO mirrors(name, spec, state, token, created_at, next_run, list_soon)
         SELECT ?1, ?2, 'active', ?3, ?4, ?5, 1 WHERE (SELECT count(*) FROM mirrors) < ?6",
        params![name, Json(spec), token, Timestamp::now(), next_run, max],
    )?;
    Ok(if added == 1 { Put::Created } else { Put::TooMany })
}

pub(crate) fn find(db: &Connection, name: &MirrorName) -> rusqlite::Result<Option<Mirror>> {
    let sql = format!("SELECT {COLUMNS} FROM mirrors WHERE name = ?1");
    db.prepare_cached(&sql)?.query_row([name], read_row).optional()
}

/// Returns every mirror, in the order of their names.
pub(crate) fn list(db: &Connection) -> rusqlite::Result<Vec<Mirror>> {
    let sql = format!("SELECT {COLUMNS} FROM mirrors ORDER BY name");
    db.prepare_cached(&sql)?.query_map((), read_row)?.collect()
}

/// Returns the SHA-256 of the token of each mirror.
pub(crate) fn tokens(db: &Connection) -> rusqlite::Result<Vec<(MirrorName, String)>> {
    db.prepare_cached("SELECT name, token FROM mirrors")?.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Replaces the token. Returns whether the mirror exists.
pub(crate) fn set_token(tx: &Transaction<'_>, name: &MirrorName, token: &str) -> rusqlite::Result<bool> {
    Ok(tx.execute("UPDATE mirrors SET token = ?2 WHERE name = ?1", params![name, token])? == 1)
}

/// Removes a mirror and its events. Its jobs and the collection stay. Returns whether it existed.
pub(crate) fn remove(tx: &Transaction<'_>, name: &MirrorName) -> rusqlite::Result<bool> {
    events::clear(tx, &KeyOwner::Mirror(name.clone()))?;
    Ok(tx.execute("DELETE FROM mirrors WHERE name = ?1", [name])? == 1)
}

/// Pauses an active mirror. Returns whether the mirror exists.
pub(crate) fn pause(tx: &Transaction<'_>, name: &MirrorName) -> rusqlite::Result<bool> {
    tx.execute("UPDATE mirrors SET state = 'paused' WHERE name = ?1 AND state = 'active'", [name])?;
    Ok(find(tx, name)?.is_some())
}

/// Makes a mirror active. Events may remove records again, up to their limit. Returns whether the mirror exists.
pub(crate) fn resume(tx: &Transaction<'_>, name: &MirrorName) -> rusqlite::Result<bool> {
    let resume = "UPDATE mirrors SET state = 'active', reason = NULL, removed = 0 WHERE name = ?1";
    Ok(tx.execute(resume, [name])? == 1)
}

/// Stops an active mirror until a client resumes it.
pub(crate) fn stop(tx: &Transaction<'_>, name: &MirrorName, reason: &str) -> rusqlite::Result<()> {
    let stop = "UPDATE mirrors SET state = 'stopped', reason = ?2 WHERE name = ?1 AND state = 'active'";
    tx.execute(stop, params![name, reason]).map(drop)
}

/// Records that a run was submitted.
pub(crate) fn begin_run(tx: &Transaction<'_>, name: &MirrorName, next_run: Option<Timestamp>) -> rusqlite::Result<()> {
    let begin = "UPDATE mirrors SET next_run = ?2, list_soon = 0, removed = 0 WHERE name = ?1";
    tx.execute(begin, params![name, next_run]).map(drop)
}

/// Records that changes of the bucket may have been missed.
pub(crate) fn list_soon(tx: &Transaction<'_>, name: &MirrorName) -> rusqlite::Result<()> {
    tx.execute("UPDATE mirrors SET list_soon = 1 WHERE name = ?1 AND list_soon = 0", [name]).map(drop)
}

/// Counts records that events have removed.
pub(crate) fn add_removed(tx: &Transaction<'_>, name: &MirrorName, count: u64) -> rusqlite::Result<()> {
    tx.execute("UPDATE mirrors SET removed = removed + ?2 WHERE name = ?1", params![name, count]).map(drop)
}

/// Returns the newest run of a mirror.
pub(crate) fn last_run(db: &Connection, name: &MirrorName) -> rusqlite::Result<Option<JobRecord>> {
    let newest = "SELECT id FROM jobs WHERE mirror = ?1 ORDER BY id DESC LIMIT 1";
    let id: Option<JobId> = db.prepare_cached(newest)?.query_row([name], |row| row.get(0)).optional()?;
    id.map_or(Ok(None), |id| jobs::find(db, id))
}

/// Whether a run of a mirror has not ended.
pub(crate) fn is_running(db: &Connection, name: &MirrorName) -> rusqlite::Result<bool> {
    db.prepare_cached(&format!("SELECT 1 FROM jobs WHERE mirror = ?1 AND state IN {UNFINISHED} LIMIT 1"))?
        .exists([name])
}

/// Returns how many objects the last successful run of a mirror with `sync` found in the collection.
pub(crate) fn owned(db: &Connection, name: &MirrorName) -> rusqlite::Result<u64> {
    let owned = db
        .prepare_cached(
            "SELECT max(owned, listed - skipped) FROM jobs WHERE mirror = ?1 AND state = 'SUCCEEDED'
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(owned.unwrap_or(0))
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<Mirror> {
    let Json(spec) = row.get(1)?;
    Ok(Mirror {
        name: row.get(0)?,
        spec,
        state: row.get(2)?,
        reason: row.get(3)?,
        created_at: row.get(4)?,
        next_run: row.get(5)?,
        list_soon: row.get(6)?,
        removed: row.get(7)?,
    })
}
