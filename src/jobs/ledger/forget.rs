//! What touches all objects of a collection. A collection may have millions, and everybody waits for the one thread that
//! writes: so each of these goes in steps, each a transaction over a stretch of the objects in the order of their URIs.
//!
//! A crash between two steps does no harm. What was forgotten too much is read again; what is still believed although a
//! store lost it is found by the comparison at the start of the next job. A collection that is to be dropped is marked
//! first, and the mark goes when every store has dropped it.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, params};

use super::Ledger;
use super::jobs::parsed;
use crate::domain::{CollectionName, ImageId, ImageUri, JobId};
use crate::sqlite::SqliteError;

/// Rows of one transaction.
const STEP: u32 = 2_000;
/// Rows of one count: reading is cheaper than writing.
const COUNT_STEP: u32 = 10_000;

/// Whether a row's list of stores has the one of the second parameter: mostly it is the only one, and that is told faster.
const HELD: &str = "(stores = ?2 OR instr(',' || stores || ',', ',' || ?2 || ',') > 0)";
/// The row's list without it.
const WITHOUT: &str = "trim(replace(',' || stores || ',', ',' || ?2 || ',', ','), ',')";

impl Ledger {
    /// Marks a collection as being dropped. Returns whether anything was known of it.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn begin_drop(&self, collection: CollectionName) -> Result<bool, SqliteError> {
        self.db
            .call(move |db| {
                let known = db
                    .prepare_cached("SELECT 1 FROM objects WHERE collection = ?1 LIMIT 1")?
                    .exists([collection.as_str()])?;
                let marked =
                    db.execute("INSERT OR IGNORE INTO dropping(collection) VALUES (?1)", [collection.as_str()])?;
                Ok(known || marked == 0)
            })
            .await
    }

    /// Forgets some objects of a collection, in one transaction. Returns whether there may be more.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget_some(&self, collection: CollectionName) -> Result<bool, SqliteError> {
        self.db
            .call(move |db| {
                let forgotten = db
                    .prepare_cached(
                        "DELETE FROM objects WHERE collection = ?1 AND uri IN
                         (SELECT uri FROM objects WHERE collection = ?1 ORDER BY uri LIMIT ?2)",
                    )?
                    .execute(params![collection.as_str(), STEP])?;
                Ok(forgotten > 0)
            })
            .await
    }

    /// Removes the mark of [`Ledger::begin_drop`]: every store has dropped the collection.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn end_drop(&self, collection: CollectionName) -> Result<(), SqliteError> {
        let unmark = "DELETE FROM dropping WHERE collection = ?1";
        self.db.call(move |db| db.execute(unmark, [collection.as_str()]).map(drop)).await
    }

    /// The collections whose drop has begun and has not ended.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn dropping(&self) -> Result<Vec<CollectionName>, SqliteError> {
        let name = |row: &rusqlite::Row<'_>| parsed(row, 0, |text| CollectionName::parse(text).ok());
        self.reader
            .call(move |db| db.prepare_cached("SELECT collection FROM dropping")?.query_map((), name)?.collect())
            .await
    }

    /// Forgets what one store was believed to hold of a collection: there it is new.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget_store(&self, collection: CollectionName, store: &'static str) -> Result<(), SqliteError> {
        self.forget_where(collection.clone(), store, |_| true).await?;
        let unfinished = "SELECT id FROM jobs WHERE collection = ?1 AND state IN ('PENDING', 'RUNNING')";
        let jobs: Vec<String> = self
            .reader
            .call(move |db| {
                db.prepare_cached(unfinished)?.query_map([collection.as_str()], |row| row.get(0))?.collect()
            })
            .await?;
        // Items of a job that was interrupted, too.
        for job in jobs {
            self.forget_store_of_items(job, store).await?;
        }
        Ok(())
    }

    /// Forgets that a store has these objects, by the ids of their records; says how many it was believed to have. Walks
    /// all of the collection: for what a store has lost.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget_ids(
        &self,
        collection: CollectionName,
        store: &'static str,
        ids: HashSet<ImageId>,
    ) -> Result<u64, SqliteError> {
        self.forget_where(collection, store, move |id| ids.contains(&id)).await
    }

    /// Forgets that a store has any objects of this `part` but these; says how many.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn keep_only(
        &self,
        collection: CollectionName,
        store: &'static str,
        part: Part,
        ids: HashSet<ImageId>,
    ) -> Result<u64, SqliteError> {
        self.forget_where(collection, store, move |id| part.has(id) && !ids.contains(&id)).await
    }

    /// How many objects of a collection a store is believed to hold.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn held_count(&self, collection: CollectionName, store: &'static str) -> Result<u64, SqliteError> {
        let sql = format!(
            "SELECT max(uri), count(*) FILTER (WHERE {HELD}) FROM
             (SELECT uri, stores FROM objects WHERE collection = ?1 AND uri > ?3 ORDER BY uri LIMIT ?4)"
        );
        let (mut held, mut after) = (0, String::new());
        loop {
            let (sql, collection, from) = (sql.clone(), collection.clone(), after);
            let (last, some): (Option<String>, u64) = self
                .reader
                .call(move |db| {
                    db.prepare_cached(&sql)?.query_row(params![collection.as_str(), store, from, COUNT_STEP], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                })
                .await?;
            held += some;
            let Some(last) = last else { return Ok(held) };
            after = last;
        }
    }

    /// How many rows of a job fulfil the condition, in a table in which `uri` tells its rows apart.
    pub(super) async fn count_uris(&self, table: &str, condition: &str, job: JobId) -> Result<u64, SqliteError> {
        let sql = format!(
            "SELECT max(uri), count(*) FILTER (WHERE counted) FROM
             (SELECT uri, ({condition}) AS counted FROM {table} WHERE job = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3)"
        );
        let (mut count, mut after) = (0, String::new());
        loop {
            let (sql, from) = (sql.clone(), after);
            let (last, some): (Option<String>, u64) = self
                .reader
                .call(move |db| {
                    db.prepare_cached(&sql)?
                        .query_row(params![job.to_string(), from, COUNT_STEP], |row| Ok((row.get(0)?, row.get(1)?)))
                })
                .await?;
            count += some;
            let Some(last) = last else { return Ok(count) };
            after = last;
        }
    }

    async fn forget_where(
        &self,
        collection: CollectionName,
        store: &'static str,
        lost: impl Fn(ImageId) -> bool + Send + Sync + 'static,
    ) -> Result<u64, SqliteError> {
        let lost = Arc::new(lost);
        let (mut forgotten, mut after) = (0, String::new());
        loop {
            let (collection, from, lost) = (collection.clone(), after, lost.clone());
            let (some, last) = self
                .db
                .call(move |db| {
                    let all = db.transaction()?;
                    let step = forget_step(&all, &collection, store, &from, &*lost)?;
                    all.commit()?;
                    Ok(step)
                })
                .await?;
            forgotten += some;
            let Some(last) = last else { return Ok(forgotten) };
            after = last;
        }
    }

    async fn forget_store_of_items(&self, job: String, store: &'static str) -> Result<(), SqliteError> {
        let (without, mut after) = (WITHOUT.replace("stores", "have"), 0_i64);
        loop {
            let (job, update, from) = (job.clone(), without.clone(), after);
            let last: Option<i64> = self
                .db
                .call(move |db| {
                    let all = db.transaction()?;
                    let last: Option<i64> = all
                        .prepare_cached(
                            "SELECT max(id) FROM (SELECT id FROM items WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3)",
                        )?
                        .query_row(params![job, from, STEP], |row| row.get(0))?;
                    all.prepare_cached(&format!(
                        "UPDATE items SET have = {update} WHERE job = ?1 AND id > ?3 AND id <= ?4 AND have <> ''"
                    ))?
                    .execute(params![job, store, from, last.unwrap_or(from)])?;
                    all.commit()?;
                    Ok(last)
                })
                .await?;
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }
}

/// One of several equal parts of all ids, so that each can be held in memory.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Which, from 0.
    pub number: u64,
    /// Of so many.
    pub of: u64,
}

impl Part {
    /// Whether the id is in this part.
    pub fn has(self, id: ImageId) -> bool {
        id.0.as_u128() % u128::from(self.of.max(1)) == u128::from(self.number)
    }
}

/// Forgets what is `lost` among the objects after a URI, in one step. Returns how many were forgotten, and the last URI of
/// the step; `None` at the end.
fn forget_step(
    all: &Transaction<'_>,
    collection: &CollectionName,
    store: &str,
    after: &str,
    lost: &dyn Fn(ImageId) -> bool,
) -> rusqlite::Result<(u64, Option<String>)> {
    let last: Option<String> = all
        .prepare_cached(
            "SELECT max(uri) FROM (SELECT uri FROM objects WHERE collection = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3)",
        )?
        .query_row(params![collection.as_str(), after, STEP], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(last) = last else { return Ok((0, None)) };
    let held: Vec<String> = all
        .prepare_cached(&format!(
            "SELECT uri FROM objects WHERE collection = ?1 AND uri > ?3 AND uri <= ?4 AND {HELD} ORDER BY uri"
        ))?
        .query_map(params![collection.as_str(), store, after, last], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut update = all.prepare_cached(&format!(
        "UPDATE objects SET stores = {WITHOUT} WHERE collection = ?1 AND uri = ?3 RETURNING stores = ''"
    ))?;
    let mut delete = all.prepare_cached("DELETE FROM objects WHERE collection = ?1 AND uri = ?2")?;
    let mut forgotten = 0;
    for uri in held {
        if ImageUri::parse(&uri).is_ok_and(|parsed| lost(parsed.id())) {
            let nowhere: bool = update.query_row(params![collection.as_str(), store, uri], |row| row.get(0))?;
            if nowhere {
                delete.execute(params![collection.as_str(), uri])?;
            }
            forgotten += 1;
        }
    }
    Ok((forgotten, Some(last)))
}

#[cfg(test)]
#[path = "forget_tests.rs"]
mod tests;
