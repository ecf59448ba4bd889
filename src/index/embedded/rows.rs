//! The SQL. Each collection has three tables: `slots` with the record in each slot (small, and all that is read at the start),
//! `payloads` by slot, and `terms`, the slots of each folder and of each metadata pair. New records are appended to the
//! first two: `ids.rs` says why no table is by id.

use std::collections::{BTreeMap, BTreeSet};

use ivf::Entry;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};
use serde::Deserialize;
use uuid::Uuid;

use super::error::Fault;
use super::filters::Attributes;
use super::fingerprint::Fingerprint;
use super::indexes;
use super::lists::changes;
use super::vectors::checksum;
use crate::domain::{CollectionName, Embedding, ExifFacts, ImageId, ImageRecord, Payload, Position, Space, Timestamp};

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
    indexed_at: String,
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
            indexed_at: payload.indexed_at.to_string(),
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

/// Returns the term of a camera.
pub(super) fn camera_term(camera: &str) -> String {
    format!("camera:{camera}")
}

/// Returns the term of a month in which an image was taken.
pub(super) fn month_term(month: &str) -> String {
    format!("month:{month}")
}

/// Returns the terms of a record.
pub(super) fn terms(folders: &[String], meta: &BTreeMap<String, String>, exif: &ExifFacts) -> BTreeSet<String> {
    let folders = folders.iter().map(|folder| folder_term(folder));
    let months = exif.months().into_iter().map(|month| month_term(&month));
    let cameras = exif.camera.iter().map(|camera| camera_term(camera));
    folders.chain(meta.iter().map(|(key, value)| meta_term(key, value))).chain(cameras).chain(months).collect()
}

/// Creates the row, the tables and the indexes of a collection. Returns its number, which is never reused.
pub(super) fn create(tx: &Transaction<'_>, name: &CollectionName, space: &str) -> rusqlite::Result<i64> {
    tx.execute("INSERT INTO collections (name, space) VALUES (?1, ?2)", (name.as_str(), space))?;
    let n = tx.last_insert_rowid();
    tx.execute_batch(&format!(
        "{};
         CREATE TABLE payloads_{n} (slot INTEGER PRIMARY KEY, payload TEXT NOT NULL) STRICT;
         CREATE TABLE terms_{n} (term TEXT NOT NULL, slot INTEGER NOT NULL, PRIMARY KEY (term, slot))
             STRICT, WITHOUT ROWID;",
        slots_table(n)
    ))?;
    indexes::create(tx, n)?;
    Ok(n)
}

/// The columns with facts of EXIF, which tables of earlier versions do not have: the time in microseconds of Unix time, and the
/// position in steps of 10⁻⁷ degrees. NULL if a fact is not known.
pub(super) const EXIF_COLUMNS: [&str; 3] = ["taken_at", "lat", "lon"];

/// Returns the statement that creates the table of slots.
pub(super) fn slots_table(n: i64) -> String {
    format!(
        "CREATE TABLE slots_{n} (slot INTEGER PRIMARY KEY, id BLOB NOT NULL, checksum INTEGER NOT NULL,
             format TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, indexed_at TEXT NOT NULL,
             {}) STRICT",
        EXIF_COLUMNS.map(|column| format!("{column} INTEGER")).join(", ")
    )
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
    Fingerprint::delete(tx, n)?;
    tx.execute("DELETE FROM collections WHERE number = ?1", (n,)).map(drop)
}

/// Calls `each` with the id, the slot and the checksum of every record.
pub(super) fn load(connection: &Connection, n: i64, mut each: impl FnMut(ImageId, u32, u32)) -> rusqlite::Result<()> {
    let mut select = connection.prepare(&format!("SELECT id, slot, checksum FROM slots_{n} ORDER BY slot"))?;
    let mut rows = select.query(())?;
    while let Some(row) = rows.next()? {
        each(id(row, 0)?, row.get(1)?, row.get(2)?);
    }
    Ok(())
}

/// Writes `rows` into `slots`, and removes the records in the slots `replaced`.
pub(super) fn write(tx: &Transaction<'_>, n: i64, rows: &[Row], slots: &[u32], replaced: &[u32]) -> Result<(), Fault> {
    clear(tx, n, replaced)?;
    changes::add(tx, n, slots)?;
    let mut record =
        tx.prepare_cached(&format!("REPLACE INTO slots_{n} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"))?;
    // A damaged record may have left a payload or terms in a free slot.
    let mut payload = tx.prepare_cached(&format!("REPLACE INTO payloads_{n} VALUES (?1, ?2)"))?;
    let mut term = tx.prepare_cached(&format!("INSERT OR IGNORE INTO terms_{n} VALUES (?1, ?2)"))?;
    for (row, slot) in rows.iter().zip(slots) {
        let id = row.id.0.as_bytes();
        let Attributes { format, width, height, taken_at, location, .. } = &row.attributes;
        let (taken_at, indexed_at) = (taken_at.map(Timestamp::unix_micros), &row.indexed_at);
        let (lat, lon) = (location.map(Position::lat_e7), location.map(Position::lon_e7));
        let format = format.as_str();
        record.execute(params![slot, id, row.checksum, format, width, height, indexed_at, taken_at, lat, lon])?;
    }
    for (row, slot) in rows.iter().zip(slots) {
        payload.execute((slot, &row.payload))?;
    }
    // In their order: the rows of a term are in the same pages.
    let terms =
        rows.iter().zip(slots).flat_map(|(row, slot)| row.attributes.terms.iter().map(move |text| (text, slot)));
    let mut terms: Vec<(&String, &u32)> = terms.collect();
    terms.sort_unstable();
    terms.into_iter().try_for_each(|row| term.execute(row).map(drop))?;
    Ok(())
}

/// Removes the records in slots.
pub(super) fn clear(tx: &Transaction<'_>, n: i64, slots: &[u32]) -> Result<(), Fault> {
    changes::add(tx, n, slots)?;
    let mut cleaner = SlotCleaner::prepare(tx, n)?;
    slots.iter().try_for_each(|slot| cleaner.clear(*slot))
}

/// The statements that remove what a slot has.
struct SlotCleaner<'c> {
    record: CachedStatement<'c>,
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
    meta: BTreeMap<String, String>,
    #[serde(flatten)]
    exif: ExifFacts,
}

impl<'c> SlotCleaner<'c> {
    fn prepare(tx: &'c Transaction<'_>, n: i64) -> rusqlite::Result<Self> {
        Ok(Self {
            record: tx.prepare_cached(&format!("DELETE FROM slots_{n} WHERE slot = ?1"))?,
            payload: tx.prepare_cached(&format!("DELETE FROM payloads_{n} WHERE slot = ?1 RETURNING payload"))?,
            term: tx.prepare_cached(&format!("DELETE FROM terms_{n} WHERE term = ?1 AND slot = ?2"))?,
            terms_of_slot: tx.prepare_cached(&format!("DELETE FROM terms_{n} WHERE slot = ?1"))?,
        })
    }

    fn clear(&mut self, slot: u32) -> Result<(), Fault> {
        self.record.execute((slot,))?;
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
        for term in terms(&labels.s3_folders, &labels.meta, &labels.exif) {
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

pub(super) fn id(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<ImageId> {
    Ok(ImageId(Uuid::from_bytes(row.get(column)?)))
}
