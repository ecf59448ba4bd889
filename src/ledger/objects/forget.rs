//! Operations on all objects of a collection. A collection can have millions of objects, and all other calls wait for
//! the one thread that writes. So each operation works in steps; each step is a transaction over some of the objects,
//! in the order of their URIs.
//!
//! A crash between two steps does no harm. An object that was forgotten although a store has it is read again. An
//! object that the ledger still knows although a store lost it is found by the comparison at the start of the next job.
//! A collection that is to be dropped is marked first; the mark is removed when every store has dropped the collection.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::domain::{CollectionName, ImageId, ImageUri, JobId};
use crate::ledger::Ledger;
use crate::ledger::jobs::parse_column;
use crate::sqlite::SqliteError;

/// Maximum number of rows in one transaction.
const ROWS_PER_STEP: u32 = 2_000;
/// Maximum number of rows in one count: reading is cheaper than writing.
const ROWS_PER_COUNT: u32 = 10_000;

/// SQL condition: the row's list of stores contains the store of the second parameter. Usually it is the only store in
/// the list, and the comparison for this case is faster.
const STORE_IS_IN_LIST: &str = "(stores = ?2 OR instr(',' || stores || ',', ',' || ?2 || ',') > 0)";
/// SQL expression: the row's list of stores without the store of the second parameter.
const LIST_WITHOUT_STORE: &str = "trim(replace(',' || stores || ',', ',' || ?2 || ',', ','), ',')";

impl Ledger {
    /// Marks a collection as being dropped. Returns whether the ledger knew the collection.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
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

    /// Forgets some objects of a collection in one transaction. Returns `false` if there were none left.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn forget_batch(&self, collection: CollectionName) -> Result<bool, SqliteError> {
        self.db
            .call(move |db| {
                let forgotten = db
                    .prepare_cached(
                        "DELETE FROM objects WHERE collection = ?1 AND uri IN
                         (SELECT uri FROM objects WHERE collection = ?1 ORDER BY uri LIMIT ?2)",
                    )?
                    .execute(params![collection.as_str(), ROWS_PER_STEP])?;
                Ok(forgotten > 0)
            })
            .await
    }

    /// Removes the mark of [`Ledger::begin_drop`]: every store has dropped the collection.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn end_drop(&self, collection: CollectionName) -> Result<(), SqliteError> {
        let unmark = "DELETE FROM dropping WHERE collection = ?1";
        self.db.call(move |db| db.execute(unmark, [collection.as_str()]).map(drop)).await
    }

    /// Returns the collections whose drop has begun and has not ended.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn dropping(&self) -> Result<Vec<CollectionName>, SqliteError> {
        let name = |row: &rusqlite::Row<'_>| parse_column(row, 0, |text| CollectionName::parse(text).ok());
        self.reader
            .call(move |db| db.prepare_cached("SELECT collection FROM dropping")?.query_map((), name)?.collect())
            .await
    }

    /// Forgets that one store has objects of a collection: the collection is new in that store.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn forget_store(&self, collection: CollectionName, store: &'static str) -> Result<(), SqliteError> {
        self.forget_where(collection.clone(), store, |_| true).await?;
        let unfinished = "SELECT id FROM jobs WHERE collection = ?1 AND state IN ('PENDING', 'RUNNING')";
        let jobs: Vec<String> = self
            .reader
            .call(move |db| {
                db.prepare_cached(unfinished)?.query_map([collection.as_str()], |row| row.get(0))?.collect()
            })
            .await?;
        // Also for the items of a job that was interrupted.
        for job in jobs {
            self.forget_store_of_items(job, store).await?;
        }
        Ok(())
    }

    /// Forgets that a store has the objects with these record ids, because the store has lost them. Returns how many of
    /// them the ledger knew in this store. Reads all objects of the collection.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn forget_ids(
        &self,
        collection: CollectionName,
        store: &'static str,
        ids: HashSet<ImageId>,
    ) -> Result<u64, SqliteError> {
        self.forget_where(collection, store, move |id| ids.contains(&id)).await
    }

    /// Forgets that a store has objects of this `part`, except those with these ids. Returns how many were forgotten.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn forget_all_except(
        &self,
        collection: CollectionName,
        store: &'static str,
        part: Part,
        ids: HashSet<ImageId>,
    ) -> Result<u64, SqliteError> {
        self.forget_where(collection, store, move |id| part.has(id) && !ids.contains(&id)).await
    }

    /// Returns how many objects of a collection a store has according to the ledger.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn count_in_store(&self, collection: CollectionName, store: &'static str) -> Result<u64, SqliteError> {
        let sql = format!(
            "SELECT max(uri), count(*) FILTER (WHERE {STORE_IS_IN_LIST}) FROM
             (SELECT uri, stores FROM objects WHERE collection = ?1 AND uri > ?3 ORDER BY uri LIMIT ?4)"
        );
        let (mut held, mut after) = (0, String::new());
        loop {
            let (sql, collection, start) = (sql.clone(), collection.clone(), after);
            let (last, counted): (Option<String>, u64) = self
                .reader
                .call(move |db| {
                    db.prepare_cached(&sql)?
                        .query_row(params![collection.as_str(), store, start, ROWS_PER_COUNT], |row| {
                            Ok((row.get(0)?, row.get(1)?))
                        })
                })
                .await?;
            held += counted;
            let Some(last) = last else { return Ok(held) };
            after = last;
        }
    }

    /// Returns how many rows of a job fulfil the condition, in a table whose rows of one job have different `uri`s.
    pub(crate) async fn count_uris(&self, table: &str, condition: &str, job: JobId) -> Result<u64, SqliteError> {
        let sql = format!(
            "SELECT max(uri), count(*) FILTER (WHERE counted) FROM
             (SELECT uri, ({condition}) AS counted FROM {table} WHERE job = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3)"
        );
        let (mut count, mut after) = (0, String::new());
        loop {
            let (sql, start) = (sql.clone(), after);
            let (last, counted): (Option<String>, u64) = self
                .reader
                .call(move |db| {
                    db.prepare_cached(&sql)?.query_row(params![job.to_string(), start, ROWS_PER_COUNT], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                })
                .await?;
            count += counted;
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
            let (collection, start, lost) = (collection.clone(), after, lost.clone());
            let (counted, last) = self
                .db
                .call(move |db| {
                    let tx = db.transaction()?;
                    let step = forget_step(&tx, &collection, store, &start, &*lost)?;
                    tx.commit()?;
                    Ok(step)
                })
                .await?;
            forgotten += counted;
            let Some(last) = last else { return Ok(forgotten) };
            after = last;
        }
    }

    async fn forget_store_of_items(&self, job: String, store: &'static str) -> Result<(), SqliteError> {
        let (without, mut after) = (LIST_WITHOUT_STORE.replace("stores", "have"), 0_i64);
        loop {
            let (job, update, start) = (job.clone(), without.clone(), after);
            let last: Option<i64> = self
                .db
                .call(move |db| {
                    let tx = db.transaction()?;
                    let last: Option<i64> = tx
                        .prepare_cached(
                            "SELECT max(id) FROM (SELECT id FROM items WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3)",
                        )?
                        .query_row(params![job, start, ROWS_PER_STEP], |row| row.get(0))?;
                    tx.prepare_cached(&format!(
                        "UPDATE items SET have = {update} WHERE job = ?1 AND id > ?3 AND id <= ?4 AND have <> ''"
                    ))?
                    .execute(params![job, store, start, last.unwrap_or(start)])?;
                    tx.commit()?;
                    Ok(last)
                })
                .await?;
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }
}

/// One of several equal parts of all ids, so that the ids of one part fit into memory.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Number of the part, from 0.
    pub number: u64,
    /// Number of parts.
    pub of: u64,
}

impl Part {
    /// Whether an id is in this part.
    pub fn has(self, id: ImageId) -> bool {
        id.0.as_u128() % u128::from(self.of.max(1)) == u128::from(self.number)
    }
}

/// Forgets in one step the `lost` objects among the objects after a URI. Returns how many were forgotten, and the last
/// URI of the step or `None` at the end.
fn forget_step(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    store: &str,
    after: &str,
    lost: &dyn Fn(ImageId) -> bool,
) -> rusqlite::Result<(u64, Option<String>)> {
    let last: Option<String> = tx
        .prepare_cached(
            "SELECT max(uri) FROM (SELECT uri FROM objects WHERE collection = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3)",
        )?
        .query_row(params![collection.as_str(), after, ROWS_PER_STEP], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(last) = last else { return Ok((0, None)) };
    let held: Vec<String> = tx
        .prepare_cached(&format!(
            "SELECT uri FROM objects WHERE collection = ?1 AND uri > ?3 AND uri <= ?4 AND {STORE_IS_IN_LIST} ORDER BY uri"
        ))?
        .query_map(params![collection.as_str(), store, after, last], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut update = tx.prepare_cached(&format!(
        "UPDATE objects SET stores = {LIST_WITHOUT_STORE} WHERE collection = ?1 AND uri = ?3 RETURNING stores = ''"
    ))?;
    let mut delete = tx.prepare_cached("DELETE FROM objects WHERE collection = ?1 AND uri = ?2")?;
    let mut forgotten = 0;
    for uri in held {
        if ImageUri::parse(&uri).is_ok_and(|object| lost(object.id())) {
            let is_in_no_store: bool = update.query_row(params![collection.as_str(), store, uri], |row| row.get(0))?;
            if is_in_no_store {
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
