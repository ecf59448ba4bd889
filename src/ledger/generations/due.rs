//! The keys whose records in a generation may be outdated, because the object has changed in the current generation. Triggers
//! of the table `objects` add the keys of written objects; [`mark`] adds those of removed ones.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row, Transaction, params};

use crate::domain::{CollectionName, ImageUri};
use crate::ledger::Step;

/// Rows that one step reads.
const ROWS_PER_STEP: u32 = 20_000;

/// A key whose record in a generation may be outdated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DueKey {
    /// The object.
    pub(crate) uri: ImageUri,
    /// The name in the stores of the generation whose object it is compared with.
    pub(crate) source: CollectionName,
    /// The version of the row when it was read.
    version: i64,
    /// How often the key was tried without success.
    pub(crate) attempts: u32,
    /// Whether the object was removed from the generation that it is compared with.
    pub(crate) is_removed: bool,
}

/// Marks a key in the other generations of a collection, because its object was removed from the current one, in which it is
/// not due any more.
pub(crate) fn mark(tx: &Transaction<'_>, physical: &CollectionName, uri: &ImageUri) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM due WHERE physical = ?1 AND uri = ?2
         AND EXISTS (SELECT 1 FROM generations WHERE physical = ?1 AND state = 'current')",
    )?
    .execute(params![physical, uri])?;
    tx.prepare_cached(
        "INSERT INTO due(physical, uri, source, removed)
         SELECT other.physical, ?2, ?1, 1 FROM generations AS this
         JOIN generations AS other ON other.collection = this.collection AND other.physical <> this.physical
         WHERE this.physical = ?1 AND this.state = 'current' AND other.state IN ('building', 'ready', 'previous')
         ON CONFLICT(physical, uri) DO UPDATE
         SET source = excluded.source, version = version + 1, attempts = 0, after = 0, removed = 1",
    )?
    .execute(params![physical, uri])
    .map(drop)
}

/// Returns how many keys of a generation are due.
pub(crate) fn count(db: &Connection, physical: &CollectionName) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT count(*) FROM due WHERE physical = ?1")?.query_row([physical], |row| row.get(0))
}

/// Returns the generations that have keys to work on at `now` (Unix milliseconds): those that are ready, the previous ones, and
/// the current ones after a forced switch, which come first. One that is built gets its keys when it is complete.
pub(crate) fn waiting_generations(db: &Connection, now: i64) -> rusqlite::Result<Vec<CollectionName>> {
    db.prepare_cached(
        "SELECT generations.physical FROM generations
         WHERE state IN ('ready', 'previous', 'current')
         AND EXISTS (SELECT 1 FROM due WHERE due.physical = generations.physical AND after <= ?1)
         ORDER BY state = 'current' DESC, physical",
    )?
    .query_map([now], |row| row.get(0))?
    .collect()
}

/// Whether the row of a key has not changed since it was read.
pub(crate) fn is_same(db: &Connection, physical: &CollectionName, key: &DueKey) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM due WHERE physical = ?1 AND uri = ?2 AND version = ?3")?.exists(params![
        physical,
        key.uri,
        key.version
    ])
}

/// Returns at most `limit` keys of a generation that are due at `now`.
pub(crate) fn take(db: &Connection, physical: &CollectionName, now: i64, limit: u32) -> rusqlite::Result<Vec<DueKey>> {
    let read = |row: &Row<'_>| {
        let (uri, source, version) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(DueKey { uri, source, version, attempts: row.get(3)?, is_removed: row.get(4)? })
    };
    db.prepare_cached(
        "SELECT uri, source, version, attempts, removed FROM due WHERE physical = ?1 AND after <= ?2 ORDER BY uri LIMIT ?3",
    )?
    .query_map(params![physical, now, limit], read)?
    .collect()
}

/// Ends the work on a key, unless its object has changed again.
pub(crate) fn done(tx: &Transaction<'_>, physical: &CollectionName, key: &DueKey) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM due WHERE physical = ?1 AND uri = ?2 AND version = ?3")?
        .execute(params![physical, key.uri, key.version])
        .map(drop)
}

/// Tries a key again after `after`, in Unix milliseconds.
pub(crate) fn postpone(
    tx: &Transaction<'_>,
    physical: &CollectionName,
    key: &DueKey,
    after: i64,
    is_failure: bool,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE due SET after = ?4, attempts = attempts + ?5 WHERE physical = ?1 AND uri = ?2 AND version = ?3",
    )?
    .execute(params![physical, key.uri, key.version, after, is_failure])
    .map(drop)
}

/// Forgets all keys of a generation.
pub(super) fn clear(tx: &Transaction<'_>, physical: &CollectionName) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM due WHERE physical = ?1", [physical]).map(drop)
}

/// How complete a generation is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Objects of the current generation.
    pub(crate) total: u64,
    /// Those of them that the generation has, too.
    pub(crate) covered: u64,
    /// The first objects that it lacks.
    pub(crate) missing: Vec<ImageUri>,
}

impl Coverage {
    /// Returns the share of the objects that the generation has, in percent.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(crate) fn percent(&self) -> f64 {
        if self.total == 0 { 100.0 } else { self.covered as f64 * 100.0 / self.total as f64 }
    }
}

/// Compares, in steps, the objects of the current generation with those of another one. Lists at most `max` missing ones.
pub(crate) fn coverage(
    current: CollectionName,
    other: CollectionName,
    max: usize,
) -> impl FnMut(&Connection) -> Step<Coverage> + Send + 'static {
    let (mut coverage, mut after) = (Coverage::default(), String::new());
    move |db| {
        let rows = db
            .prepare_cached(
                "SELECT uri, EXISTS (SELECT 1 FROM objects AS o WHERE o.collection = ?2 AND o.uri = objects.uri)
                 FROM objects WHERE collection = ?1 AND uri > ?3 ORDER BY uri LIMIT ?4",
            )?
            .query_map(params![current, other, after, ROWS_PER_STEP], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(ImageUri, bool)>>>()?;
        let Some((last, _)) = rows.last() else { return Ok(ControlFlow::Break(std::mem::take(&mut coverage))) };
        after = last.to_string();
        for (uri, is_covered) in rows {
            coverage.total += 1;
            coverage.covered += u64::from(is_covered);
            if !is_covered && coverage.missing.len() < max {
                coverage.missing.push(uri);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
