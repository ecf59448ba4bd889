//! Operations on all objects of a collection. A collection can have millions of objects, and all other calls wait for
//! the one thread that writes. So each operation works in steps; each step is a transaction over some of the objects,
//! in the order of their URIs.
//!
//! A crash between two steps does no harm. An object that was forgotten although a store has it is read again. An
//! object that the ledger still knows although a store lost it is found by the comparison at the start of the next job.
//! A collection that is to be dropped is marked first; the mark is removed when every store has dropped the collection.

use std::collections::HashSet;
use std::ops::ControlFlow;

use rusqlite::types::ToSql;
use rusqlite::{Connection, Transaction, params};

use crate::domain::{CollectionName, ImageId, ImageUri, JobId};
use crate::ledger::events::{self, KeyOwner};
use crate::ledger::jobs::UNFINISHED;
use crate::ledger::{Step, collection_models, generations, recall, tombstones};

/// Maximum number of rows in one transaction.
const ROWS_PER_STEP: u32 = 2_000;
/// Maximum number of rows in one count: reading is cheaper than writing.
const ROWS_PER_COUNT: u32 = 10_000;

/// Returns a SQL condition: the row's list of stores contains this store. Usually it is the only store in the list, and
/// the comparison for this case is faster.
fn is_in_list(store: &str) -> String {
    format!("(stores = '{store}' OR instr(',' || stores || ',', ',{store},') > 0)")
}

/// Returns a SQL expression: the list of stores in this column without this store.
fn list_without(column: &str, store: &str) -> String {
    format!("trim(replace(',' || {column} || ',', ',{store},', ','), ',')")
}

/// Marks a collection with all its generations as being dropped, and forgets its uploads that are not indexed yet. Returns
/// whether the ledger knew the collection.
///
/// # Errors
/// Returns an error if the ledger cannot be written.
pub fn begin_drop(tx: &Transaction<'_>, collection: &CollectionName) -> rusqlite::Result<bool> {
    let known = tx
        .prepare_cached(
            "SELECT 1 FROM objects WHERE collection = ?1
             UNION ALL SELECT 1 FROM tombstones WHERE collection = ?1 LIMIT 1",
        )?
        .exists([collection])?;
    let marked = tx.execute("INSERT OR IGNORE INTO dropping(collection) VALUES (?1)", [collection])?;
    events::clear(tx, &KeyOwner::Uploads(collection.clone()))?;
    let generations = generations::begin_drop_all(tx, collection)?;
    for physical in &generations {
        mark_dropping(tx, physical)?;
    }
    Ok(known || marked == 0 || !generations.is_empty())
}

/// Marks one collection of the stores as being dropped.
pub(crate) fn mark_dropping(tx: &Transaction<'_>, physical: &CollectionName) -> rusqlite::Result<()> {
    tx.execute("INSERT OR IGNORE INTO dropping(collection) VALUES (?1)", [physical]).map(drop)
}

/// Forgets some objects of a collection, or some images that were removed permanently from it. Returns `false` if there were
/// none left.
///
/// # Errors
/// Returns an error if the ledger cannot be written.
pub fn forget_some(tx: &Transaction<'_>, collection: &CollectionName) -> rusqlite::Result<bool> {
    let forgotten = tx
        .prepare_cached(
            "DELETE FROM objects WHERE collection = ?1 AND uri IN
             (SELECT uri FROM objects WHERE collection = ?1 ORDER BY uri LIMIT ?2)",
        )?
        .execute(params![collection, ROWS_PER_STEP])?;
    Ok(forgotten > 0 || tombstones::forget_some(tx, collection)?)
}

/// Removes the mark of [`begin_drop`], the model, and what was measured: every store has dropped the collection.
pub(crate) fn end_drop(tx: &Transaction<'_>, collection: &CollectionName) -> rusqlite::Result<()> {
    recall::forget(tx, collection, None)?;
    generations::end_drop(tx, collection)?;
    collection_models::forget(tx, collection)?;
    tx.execute("DELETE FROM dropping WHERE collection = ?1", [collection]).map(drop)
}

/// Returns the collections whose drop has begun and has not ended.
///
/// # Errors
/// Returns an error if the ledger cannot be read.
pub fn dropping(db: &Connection) -> rusqlite::Result<Vec<CollectionName>> {
    db.prepare_cached("SELECT collection FROM dropping")?.query_map((), |row| row.get(0))?.collect()
}

/// Forgets, in steps, that a store has objects of a collection, and what was measured in it, because the collection is new in that store.
pub(crate) fn forget_store(
    collection: CollectionName,
    store: &'static str,
) -> impl FnMut(&Transaction<'_>) -> Step<()> + Send + 'static {
    let name = collection.clone();
    let mut objects = forget_where(collection.clone(), store, |_| true);
    // Also for the items of a job that was interrupted.
    let mut items = forget_store_of_items(collection, store);
    let mut objects_are_forgotten = false;
    move |tx| {
        if objects_are_forgotten {
            return items(tx);
        }
        recall::forget(tx, &name, Some(store))?;
        objects_are_forgotten = objects(tx)?.is_break();
        Ok(ControlFlow::Continue(()))
    }
}

/// Forgets, in steps, that a store has the objects with these record ids, because the store has lost them. Returns how
/// many of them the ledger knew in this store. Reads all objects of the collection.
pub(crate) fn forget_ids(
    collection: CollectionName,
    store: &'static str,
    ids: HashSet<ImageId>,
) -> impl FnMut(&Transaction<'_>) -> Step<u64> + Send + 'static {
    forget_where(collection, store, move |id| ids.contains(&id))
}

/// Forgets, in steps, that a store has objects of this `part`, except those with these ids. Returns how many were
/// forgotten.
pub(crate) fn forget_all_except(
    collection: CollectionName,
    store: &'static str,
    part: Part,
    ids: HashSet<ImageId>,
) -> impl FnMut(&Transaction<'_>) -> Step<u64> + Send + 'static {
    forget_where(collection, store, move |id| part.contains(id) && !ids.contains(&id))
}

fn forget_where(
    collection: CollectionName,
    store: &'static str,
    lost: impl Fn(ImageId) -> bool + Send + 'static,
) -> impl FnMut(&Transaction<'_>) -> Step<u64> + Send + 'static {
    let (mut forgotten, mut after) = (0, String::new());
    move |tx| {
        let (some, last) = forget_step(tx, &collection, store, &after, &lost)?;
        forgotten += some;
        Ok(match last {
            Some(last) => {
                after = last;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(forgotten),
        })
    }
}

/// Forgets the `lost` objects among the next objects after a URI. Returns how many were forgotten, and the last URI of
/// the step or `None` at the end.
fn forget_step(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    store: &str,
    after: &str,
    lost: impl Fn(ImageId) -> bool,
) -> rusqlite::Result<(u64, Option<String>)> {
    let last: Option<String> = tx
        .prepare_cached(
            "SELECT max(uri) FROM (SELECT uri FROM objects WHERE collection = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3)",
        )?
        .query_row(params![collection, after, ROWS_PER_STEP], |row| row.get(0))?;
    let Some(last) = last else { return Ok((0, None)) };
    let held = tx
        .prepare_cached(&format!(
            "SELECT uri FROM objects WHERE collection = ?1 AND uri > ?2 AND uri <= ?3 AND {} ORDER BY uri",
            is_in_list(store)
        ))?
        .query_map(params![collection, after, last], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<ImageUri>>>()?;
    let mut update = tx.prepare_cached(&format!(
        "UPDATE objects SET stores = {} WHERE collection = ?1 AND uri = ?2 RETURNING stores = ''",
        list_without("stores", store)
    ))?;
    let mut forgotten = 0;
    for uri in held.into_iter().filter(|uri| lost(uri.id())) {
        let is_in_no_store: bool = update.query_row(params![collection, uri], |row| row.get(0))?;
        if is_in_no_store {
            super::forget(tx, collection, &uri)?;
        }
        forgotten += 1;
    }
    Ok((forgotten, Some(last)))
}

fn forget_store_of_items(
    collection: CollectionName,
    store: &'static str,
) -> impl FnMut(&Transaction<'_>) -> Step<()> + Send + 'static {
    let mut after = 0_i64;
    move |tx| {
        let last: Option<i64> = tx
            .prepare_cached("SELECT max(id) FROM (SELECT id FROM items WHERE id > ?1 ORDER BY id LIMIT ?2)")?
            .query_row(params![after, ROWS_PER_STEP], |row| row.get(0))?;
        let Some(last) = last else { return Ok(ControlFlow::Break(())) };
        tx.prepare_cached(&format!(
            "UPDATE items SET have = {} WHERE id > ?2 AND id <= ?3 AND have <> '' AND job IN
             (SELECT id FROM jobs WHERE collection = ?1 AND state IN {UNFINISHED})",
            list_without("have", store)
        ))?
        .execute(params![collection, after, last])?;
        after = last;
        Ok(ControlFlow::Continue(()))
    }
}

/// Counts, in steps, the objects of a collection that a store has according to the ledger.
pub(crate) fn count_in_store(
    collection: CollectionName,
    store: &str,
) -> impl FnMut(&Connection) -> Step<u64> + Send + use<> + 'static {
    count_rows("objects", "collection", collection, &is_in_list(store))
}

/// Counts, in steps, the rows of a job that fulfil the condition, in a table whose rows of one job have different
/// `uri`s.
pub(crate) fn count_uris(
    table: &str,
    condition: &str,
    job: JobId,
) -> impl FnMut(&Connection) -> Step<u64> + Send + use<> + 'static {
    count_rows(table, "job", job, condition)
}

fn count_rows<K: ToSql + Send + 'static>(
    table: &str,
    key: &str,
    value: K,
    condition: &str,
) -> impl FnMut(&Connection) -> Step<u64> + Send + use<K> + 'static {
    let sql = format!(
        "SELECT max(uri), count(*) FILTER (WHERE counted) FROM
         (SELECT uri, ({condition}) AS counted FROM {table} WHERE {key} = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3)"
    );
    let (mut count, mut after) = (0, String::new());
    move |db| {
        let (last, counted): (Option<String>, u64) = db
            .prepare_cached(&sql)?
            .query_row(params![value, after, ROWS_PER_COUNT], |row| Ok((row.get(0)?, row.get(1)?)))?;
        count += counted;
        Ok(match last {
            Some(last) => {
                after = last;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(count),
        })
    }
}

/// One of several equal parts of all ids, so that the ids of one part fit into memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Number of the part, from 0.
    pub(crate) number: u64,
    /// Number of parts.
    pub(crate) of: u64,
}

impl Part {
    /// Whether an id is in this part.
    pub(crate) fn contains(self, id: ImageId) -> bool {
        id.0.as_u128() % u128::from(self.of.max(1)) == u128::from(self.number)
    }
}

#[cfg(test)]
#[path = "forget_tests.rs"]
mod tests;
