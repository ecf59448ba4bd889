//! The model that makes the vectors of each collection.

use rusqlite::{Connection, Transaction, params};

use crate::domain::{CollectionName, ModelRecord};
use crate::ledger::columns::Json;

/// Records the model of a collection in place of an earlier one.
///
/// # Errors
/// Returns an error if the ledger cannot be written.
pub fn put(tx: &Transaction<'_>, collection: &CollectionName, model: &ModelRecord) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO collection_models(collection, model) VALUES (?1, ?2)";
    tx.execute(put, params![collection, Json(model)]).map(drop)
}

/// Returns every collection with its model.
///
/// # Errors
/// Returns an error if the ledger cannot be read.
pub fn all(db: &Connection) -> rusqlite::Result<Vec<(CollectionName, ModelRecord)>> {
    let mut select = db.prepare_cached("SELECT collection, model FROM collection_models ORDER BY collection")?;
    let rows = select.query_map((), |row| Ok((row.get(0)?, row.get::<_, Json<_>>(1)?.0)))?;
    rows.collect()
}

/// Removes the model of a collection.
pub(crate) fn forget(tx: &Transaction<'_>, collection: &CollectionName) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM collection_models WHERE collection = ?1", [collection]).map(drop)
}
