//! Which version of each object a collection has, and in which stores. So a job reads only objects that are new or
//! changed (compared by ETag and size, never by timestamp), and writes them only to the stores that lack them.

pub mod forget;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::domain::{CollectionName, ImageRef, ImageUri, Indexed, StoreSet, object_version};
use crate::ledger::generations::due;
use crate::ledger::tombstones;

/// One object of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    /// URI of the object.
    pub uri: ImageUri,
    /// ETag of the version that was indexed.
    pub etag: String,
    /// Size of the object, in bytes.
    pub size_bytes: u64,
    /// [`crate::domain::Space::name`] of the space of its vector.
    pub space: String,
    /// The stores that have the object in this version.
    pub stores: StoreSet,
}

/// Forgets one object of a collection. Its other generations forget it later.
pub(crate) fn forget(tx: &Transaction<'_>, collection: &CollectionName, uri: &ImageUri) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM objects WHERE collection = ?1 AND uri = ?2")?.execute(params![collection, uri])?;
    due::mark(tx, collection, uri)
}

/// Whether a collection has objects whose URIs begin with `prefix`.
pub(crate) fn has_prefix(db: &Connection, collection: &CollectionName, prefix: &str) -> rusqlite::Result<bool> {
    let first: Option<String> = db
        .prepare_cached("SELECT uri FROM objects WHERE collection = ?1 AND uri >= ?2 ORDER BY uri LIMIT 1")?
        .query_row(params![collection, prefix], |row| row.get(0))
        .optional()?;
    Ok(first.is_some_and(|uri| uri.starts_with(prefix)))
}

/// Returns at most `limit` objects of a collection after the URI `after`, in the order of their URIs.
///
/// # Errors
/// Returns an error if the ledger cannot be read.
pub fn page(
    db: &Connection,
    collection: &CollectionName,
    after: Option<&ImageUri>,
    limit: u32,
) -> rusqlite::Result<Vec<ObjectRow>> {
    let after = after.map_or("", ImageUri::as_str);
    db.prepare_cached(
        "SELECT uri, etag, size, space, stores FROM objects WHERE collection = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3",
    )?
    .query_map(params![collection, after, limit], |row| {
        let (uri, etag, size_bytes) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(ObjectRow { uri, etag, size_bytes, space: row.get(3)?, stores: row.get(4)? })
    })?
    .collect()
}

/// Records which stores have these objects of a collection. An object that no store has is forgotten, and one that was
/// removed permanently is not recorded.
///
/// # Errors
/// Returns an error if the ledger cannot be written.
pub fn put_all(tx: &Transaction<'_>, collection: &CollectionName, objects: Vec<ObjectRow>) -> rusqlite::Result<()> {
    for ObjectRow { uri, etag, size_bytes, space, stores } in objects {
        if stores.is_empty() {
            forget(tx, collection, &uri)?;
        } else {
            let indexed = Indexed { etag: Some(etag), size_bytes, stores, copied: true };
            put(tx, collection, &uri, &space, &indexed, None)?;
        }
    }
    Ok(())
}

/// Returns a known object of the collection with the same ETag and size, in the same space: its bytes are possibly the
/// same, and then its vector is too. It can be the object itself, if only its metadata row has changed.
pub(crate) fn possible_copy(
    db: &Connection,
    collection: &CollectionName,
    space: &str,
    image: &ImageRef,
) -> rusqlite::Result<Option<ImageUri>> {
    let Some(etag) = image.etag.as_ref().filter(|version| !object_version::is_last_modified(version)) else {
        return Ok(None);
    };
    db.prepare_cached(
        "SELECT uri FROM objects INDEXED BY objects_by_etag
         WHERE etag = ?1 AND collection = ?2 AND size = ?3 AND space = ?4 LIMIT 1",
    )?
    .query_row(params![etag, collection, image.size_bytes, space], |row| row.get(0))
    .optional()
}

/// Returns the digest of the metadata row that an object was joined with; empty if there is none.
pub(crate) fn metadata_digest(
    db: &Connection,
    collection: &CollectionName,
    uri: &ImageUri,
) -> rusqlite::Result<String> {
    let digest = db
        .prepare_cached("SELECT metadata FROM objects WHERE collection = ?1 AND uri = ?2")?
        .query_row(params![collection, uri], |row| row.get(0))
        .optional()?;
    Ok(digest.unwrap_or_default())
}

/// Returns the first object of a collection with the same ETag and size as the image, if it is another one. In a rebuild it is
/// embedded before the image, which then gets its vector.
pub(crate) fn first_copy(
    db: &Connection,
    collection: &CollectionName,
    image: &ImageRef,
) -> rusqlite::Result<Option<ImageUri>> {
    let Some(etag) = image.etag.as_ref().filter(|version| !object_version::is_last_modified(version)) else {
        return Ok(None);
    };
    let first: Option<ImageUri> = db
        .prepare_cached(
            "SELECT uri FROM objects INDEXED BY objects_by_etag
             WHERE etag = ?1 AND collection = ?2 AND size = ?3 ORDER BY uri LIMIT 1",
        )?
        .query_row(params![etag, collection, image.size_bytes], |row| row.get(0))
        .optional()?;
    Ok(first.filter(|first| *first != image.uri))
}

/// Records which stores have the object, and the digest of the metadata row that it was joined with (`None`:
/// unchanged). An object without an ETag is not recorded, so the next job reads it again.
///
/// Returns `false` if the object was removed permanently: it is not recorded, and the stores must remove its record again.
pub(crate) fn put(
    tx: &Transaction<'_>,
    collection: &CollectionName,
    uri: &ImageUri,
    space: &str,
    indexed: &Indexed,
    metadata: Option<&str>,
) -> rusqlite::Result<bool> {
    if tombstones::repeat_removal(tx, collection, uri)? {
        return Ok(false);
    }
    let Some(etag) = &indexed.etag else { return Ok(true) };
    tx.prepare_cached(
        "INSERT INTO objects(collection, uri, etag, size, space, stores, metadata)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, coalesce(?7, ''))
         ON CONFLICT(collection, uri) DO UPDATE SET etag = ?3, size = ?4, space = ?5, stores = ?6,
         metadata = coalesce(?7, metadata)",
    )?
    .execute(params![collection, uri, etag, indexed.size_bytes, space, indexed.stores, metadata])?;
    Ok(true)
}
