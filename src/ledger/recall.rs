//! The results of the self-tests of stores, one for each collection and store.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{CollectionName, RecallReport};
use crate::ledger::columns::Json;

/// Stores a result in place of an earlier one.
pub(crate) fn put(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    store: &str,
    report: RecallReport,
) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO recall(collection, store, report) VALUES (?1, ?2, ?3)";
    tx.execute(put, params![collection, store, Json(report)]).map(drop)
}

/// Returns every result with its collection and store.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<(CollectionName, String, RecallReport)>> {
    let mut select = db.prepare_cached("SELECT collection, store, report FROM recall ORDER BY collection, store")?;
    let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Json<_>>(2)?.0)))?;
    rows.collect()
}

/// Removes the result of a collection in a store, or in all stores.
pub(crate) fn forget(tx: &Transaction<'_>, collection: &CollectionName, store: Option<&str>) -> rusqlite::Result<()> {
    let delete = "DELETE FROM recall WHERE collection = ?1 AND (?2 IS NULL OR store = ?2)";
    tx.execute(delete, params![collection, store]).map(drop)
}
