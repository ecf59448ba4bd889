//! The SQL. Each collection has three tables: `records` by id (small, and all that is read at the start), `payloads` by
//! slot (new ones are appended), and `terms`, the slots of each folder and of each metadata pair.

use std::collections::BTreeSet;

use ivf::Entry;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};
use serde::Deserialize;
use uuid::Uuid;

use super::error::Fault;
use super::filters::Attributes;
use super::indexes;
use super::lists::changes;
use super::vectors::checksum;
use crate::domain::{CollectionName, Embedding, ImageId, ImageRecord, Payload, Space};

/// The table of collections.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS collections (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, space TEXT NOT NULL) STRICT;";

/// A record, prepared for writing.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: ImageId,
    pub(super) embedding: Embedding,
    /// The code for the approximate index, if the collection has one.
    pub(super) entry: Option<Entry>,
    pub(super) attributes: Attributes,
    payload: String,
    checksum: u32,
}

impl Row {
    /// Converts a record, outside the writer thread.
    pub(super) fn new(record: &ImageRecord) -> Result<Self, Fault> {
        let payload = &record.payload;
        Ok(Self {
            id: record.id,
            embedding: record.embedding.clone(),
            entry: None,
            payload: serde_json::to_string(payload).map_err(|error| Fault::Damaged(error.to_string()))?,
            attributes: Attributes::new(payload),
            checksum: checksum(record.embedding.as_slice()),
        })
    }
}

/// Returns the term of a folder.
pub(super) fn folder_term(folder: &str) -> String {
    format!("/{folder}")
}

/// Returns the term of a metadata pair. It has the length of the key, so that `a=b` with `c` differs from `a` with
/// `b=c`.
pub(super) fn meta_term(key: &str, value: &str) -> String {
    format!("={}:{key}{value}", key.len())
}

/// Returns the terms of a record.
pub(super) fn terms<'a>(
    folders: &[String],
    meta: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> BTreeSet<String> {
    let folders = folders.iter().map(|folder| folder_term(folder));
    folders.chain(meta.into_iter().map(|(key, value)| meta_term(key, value))).collect()
}

/// Creates the row, the tables and the indexes of a collection. Returns its number, which is never reused.
pub(super) fn create(tx: &Transaction<'_>, name: &CollectionName, space: &str) -> rusqlite::Result<i64> {
    tx.execute("INSERT INTO collections (name, space) VALUES (?1, ?2)", (name.as_str(), space))?;
    let n = tx.last_insert_rowid();
    tx.execute_batch(&format!(
        "CREATE TABLE records_{n} (id BLOB PRIMARY KEY, slot INTEGER NOT NULL, checksum INTEGER NOT NULL,
             format TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, indexed_at TEXT NOT NULL)
             STRICT, WITHOUT ROWID;
         CREATE TABLE payloads_{n} (slot INTEGER PRIMARY KEY, payload TEXT NOT NULL) STRICT;
         CREATE TABLE terms_{n} (term TEXT NOT NULL, slot INTEGER NOT NULL, PRIMARY KEY (term, slot))
             STRICT, WITHOUT ROWID;"
    ))?;
    indexes::create(tx, n)?;
    Ok(n)
}

/// Returns the number, the name and the space of each collection.
pub(super) fn collections(connection: &Connection) -> Result<Vec<(i64, CollectionName, Space)>, Fault> {
    let mut select = connection.prepare("SELECT number, name, space FROM collections ORDER BY number")?;
    let rows = select.query_map((), |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))?;
    rows.map(|row| {
        let (number, name, space) = row?;
        let name = CollectionName::parse(&name).map_err(|error| Fault::Damaged(error.to_string()))?;
        let space = serde_json::from_str(&space).map_err(|error| Fault::Damaged(format!("{name}: {error}")))?;
        Ok((number, name, space))
    })
    .collect()
}

/// Removes the row of a collection. Its tables are removed in steps; see `reclaim.rs`.
pub(super) fn delete_collection(tx: &Transaction<'_>, n: i64) -> rusqlite::Result<()> {
    changes::remove(tx, n)?;
    tx.execute("DELETE FROM collections WHERE number = ?1", (n,)).map(drop)
}

/// Calls `each` with the id, the slot and the checksum of every record.
pub(super) fn load(connection: &Connection, n: i64, mut each: impl FnMut(ImageId, u32, u32)) -> rusqlite::Result<()> {
    let mut select = connection.prepare(&format!("SELECT id, slot, checksum FROM records_{n}"))?;
    let mut rows = select.query(())?;
    while let Some(row) = rows.next()? {
        each(id(row, 0)?, row.get(1)?, row.get(2)?);
    }
    Ok(())
}

/// Writes `rows` into `slots`. Returns the slots of the records that they replace.
pub(super) fn write(tx: &Transaction<'_>, n: i64, rows: &[Row], slots: &[u32]) -> Result<Vec<u32>, Fault> {
    let mut cleaner = SlotCleaner::prepare(tx, n)?;
    let mut find = tx.prepare_cached(&format!("SELECT slot FROM records_{n} WHERE id = ?1"))?;
    let mut record = tx.prepare_cached(&format!("REPLACE INTO records_{n} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"))?;
    // A damaged record may have left a payload or terms in a free slot.
    let mut payload = tx.prepare_cached(&format!("REPLACE INTO payloads_{n} VALUES (?1, ?2)"))?;
    let mut term = tx.prepare_cached(&format!("INSERT OR IGNORE INTO terms_{n} VALUES (?1, ?2)"))?;
    let mut replaced = Vec::new();
    for (row, slot) in rows.iter().zip(slots) {
        let id = row.id.0.as_bytes();
        if let Some(old) = find.query_row((id,), |found| found.get(0)).optional()? {
            cleaner.clear(old)?;
            replaced.push(old);
        }
        let Attributes { terms, format, width, height, indexed_at } = &row.attributes;
        record.execute(params![id, slot, row.checksum, format.as_str(), width, height, indexed_at.to_string()])?;
        payload.execute((slot, &row.payload))?;
        for text in terms {
            term.execute((text, slot))?;
        }
    }
    Ok(replaced)
}

/// Removes records. Returns the slots that they had.
pub(super) fn delete(tx: &Transaction<'_>, n: i64, ids: &[ImageId]) -> Result<Vec<u32>, Fault> {
    let mut cleaner = SlotCleaner::prepare(tx, n)?;
    let mut delete = tx.prepare_cached(&format!("DELETE FROM records_{n} WHERE id = ?1 RETURNING slot"))?;
    let mut emptied = Vec::new();
    for id in ids {
        if let Some(slot) = delete.query_row((id.0.as_bytes(),), |row| row.get(0)).optional()? {
            cleaner.clear(slot)?;
            emptied.push(slot);
        }
    }
    Ok(emptied)
}

/// The statements that remove the payload and the terms of a slot.
struct SlotCleaner<'c> {
    payload: CachedStatement<'c>,
    term: CachedStatement<'c>,
    terms_of_slot: CachedStatement<'c>,
}

/// The part of a payload from which its terms are made. Lenient, because it must read the payloads of older versions.
#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    s3_folders: Vec<String>,
    #[serde(default)]
    meta: std::collections::BTreeMap<String, String>,
}

impl<'c> SlotCleaner<'c> {
    fn prepare(tx: &'c Transaction<'_>, n: i64) -> rusqlite::Result<Self> {
        Ok(Self {
            payload: tx.prepare_cached(&format!("DELETE FROM payloads_{n} WHERE slot = ?1 RETURNING payload"))?,
            term: tx.prepare_cached(&format!("DELETE FROM terms_{n} WHERE term = ?1 AND slot = ?2"))?,
            terms_of_slot: tx.prepare_cached(&format!("DELETE FROM terms_{n} WHERE slot = ?1"))?,
        })
    }

    fn clear(&mut self, slot: u32) -> Result<(), Fault> {
        let payload = self.payload.query_row((slot,), bytes).optional()?;
        let labels = match payload.as_deref().map(|payload| parse_payload::<Labels>(slot, payload)) {
            Some(Ok(labels)) => labels,
            // Without the payload, the whole table must be read to find the terms. That is slow but rarely needed.
            damaged => {
                let error =
                    damaged.and_then(Result::err).map_or_else(|| "it is missing".to_owned(), |error| error.to_string());
                tracing::warn!(slot, error, "the payload of a record that is replaced or removed cannot be read");
                self.terms_of_slot.execute((slot,))?;
                return Ok(());
            }
        };
        for term in terms(&labels.s3_folders, &labels.meta) {
            self.term.execute((term, slot))?;
        }
        Ok(())
    }
}

/// Returns the payload of a slot.
pub(super) fn payload(connection: &Connection, n: i64, slot: u32) -> Result<Payload, Fault> {
    let mut select = connection.prepare_cached(&format!("SELECT payload FROM payloads_{n} WHERE slot = ?1"))?;
    let text = select.query_row((slot,), bytes).optional()?;
    parse_payload(slot, &text.ok_or_else(|| Fault::Damaged(format!("slot {slot} has no payload")))?)
}

/// Calls `each` with every row that a query without parameters returns.
pub(super) fn each(
    connection: &Connection,
    sql: &str,
    mut each: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(())?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}

/// Returns the bytes of the first column.
fn bytes(row: &rusqlite::Row<'_>) -> rusqlite::Result<Vec<u8>> {
    raw(row, 0).map(<[u8]>::to_vec)
}

/// Returns the bytes of a column of any type: a damaged value may not be a text.
pub(super) fn raw<'r>(row: &'r rusqlite::Row<'_>, column: usize) -> rusqlite::Result<&'r [u8]> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
    })
}

pub(super) fn parse_payload<'t, T: Deserialize<'t>>(slot: u32, text: &'t [u8]) -> Result<T, Fault> {
    serde_json::from_slice(text).map_err(|error| Fault::Damaged(format!("the payload of slot {slot}: {error}")))
}

/// Returns the slot of a record.
pub(super) fn slot(connection: &Connection, n: i64, id: ImageId) -> rusqlite::Result<Option<u32>> {
    let mut select = connection.prepare_cached(&format!("SELECT slot FROM records_{n} WHERE id = ?1"))?;
    select.query_row((id.0.as_bytes(),), |row| row.get(0)).optional()
}

/// Returns the first `limit` ids after `after`, ascending.
pub(super) fn ids(
    connection: &Connection,
    n: i64,
    after: Option<ImageId>,
    limit: u32,
) -> rusqlite::Result<Vec<ImageId>> {
    let sql = format!("SELECT id FROM records_{n} WHERE id > ?1 ORDER BY id LIMIT ?2");
    let after = after.map_or(Vec::new(), |id| id.0.as_bytes().to_vec());
    let mut select = connection.prepare_cached(&sql)?;
    select.query_map((after, limit), |row| id(row, 0))?.collect()
}

pub(super) fn id(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<ImageId> {
    Ok(ImageId(Uuid::from_bytes(row.get(column)?)))
}
