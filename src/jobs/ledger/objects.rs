//! What each collection has of which object, and in which stores, so that a job reads only what is new or changed (by ETag
//! and size, never by timestamps) and writes only where it is missing.

use rusqlite::{Connection, OptionalExtension, params};

use super::Ledger;
use super::jobs::parsed;
use crate::domain::{CollectionName, ImageRef, ImageUri, StoreSet, object_version};
use crate::pipeline::Indexed;
use crate::sqlite::SqliteError;

/// One object of a collection, as the ledger believes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub uri: ImageUri,
    /// ETag of the version that was indexed.
    pub etag: String,
    /// Its size.
    pub size_bytes: u64,
    /// [`crate::domain::Space::name`] of its vector's space.
    pub space: String,
    /// The stores that have it in this version.
    pub stores: StoreSet,
}

impl Ledger {
    /// Forgets one object of a collection.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget(&self, collection: CollectionName, uri: ImageUri) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                db.execute(
                    "DELETE FROM objects WHERE collection = ?1 AND uri = ?2",
                    params![collection.as_str(), uri.as_str()],
                )
                .map(drop)
            })
            .await
    }

    /// Whether a collection has objects whose URIs begin so.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn has_objects(&self, collection: CollectionName, prefix: String) -> Result<bool, SqliteError> {
        self.reader
            .call(move |db| {
                let first: Option<String> = db
                    .prepare_cached("SELECT uri FROM objects WHERE collection = ?1 AND uri >= ?2 ORDER BY uri LIMIT 1")?
                    .query_row(params![collection.as_str(), prefix], |row| row.get(0))
                    .optional()?;
                Ok(first.is_some_and(|uri| uri.starts_with(&prefix)))
            })
            .await
    }

    /// The objects of a collection after that URI, in order of URIs, `limit` at most.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn known(
        &self,
        collection: CollectionName,
        after: Option<ImageUri>,
        limit: u32,
    ) -> Result<Vec<Known>, SqliteError> {
        self.reader
            .call(move |db| {
                let after = after.as_ref().map_or("", ImageUri::as_str);
                db.prepare_cached(
                    "SELECT uri, etag, size, space, stores FROM objects WHERE collection = ?1 AND uri > ?2
                     ORDER BY uri LIMIT ?3",
                )?
                .query_map(params![collection.as_str(), after, limit], |row| {
                    Ok(Known {
                        uri: parsed(row, 0, |text| ImageUri::parse(text).ok())?,
                        etag: row.get(1)?,
                        size_bytes: row.get(2)?,
                        space: row.get(3)?,
                        stores: StoreSet::parse(&row.get::<_, String>(4)?),
                    })
                })?
                .collect()
            })
            .await
    }

    /// Notes objects of a collection as they are in its stores; one that is in none is forgotten.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn know(&self, collection: CollectionName, objects: Vec<Known>) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                for Known { uri, etag, size_bytes, space, stores } in objects {
                    if stores.is_empty() {
                        let these = params![collection.as_str(), uri.as_str()];
                        all.execute("DELETE FROM objects WHERE collection = ?1 AND uri = ?2", these)?;
                    } else {
                        let indexed = Indexed { etag: Some(etag), size_bytes, stores, copied: true };
                        put(&all, &collection, uri.as_str(), &space, &indexed, None)?;
                    }
                }
                all.commit()
            })
            .await
    }
}

/// A known object of the collection with the same ETag and size, in the same space: its bytes may be the same, and then its
/// vector is. It may be the object itself, whose row of metadata has changed.
pub(super) fn possible_copy(
    db: &Connection,
    collection: &CollectionName,
    space: &str,
    image: &ImageRef,
) -> rusqlite::Result<Option<String>> {
    let Some(etag) = image.etag.as_ref().filter(|version| !object_version::is_by_time(version)) else {
        return Ok(None);
    };
    db.prepare_cached(
        "SELECT uri FROM objects INDEXED BY objects_by_etag
         WHERE etag = ?1 AND collection = ?2 AND size = ?3 AND space = ?4 LIMIT 1",
    )?
    .query_row(params![etag, collection.as_str(), image.size_bytes, space], |row| row.get(0))
    .optional()
}

/// Notes which stores have it, and the digest of the row that it was joined with (`None`: as before). What came without an
/// ETag is read again by the next job.
pub(super) fn put(
    db: &Connection,
    collection: &CollectionName,
    uri: &str,
    space: &str,
    indexed: &Indexed,
    metadata: Option<&str>,
) -> rusqlite::Result<()> {
    let Some(etag) = &indexed.etag else { return Ok(()) };
    let stores = indexed.stores.to_string();
    db.prepare_cached(
        "INSERT INTO objects(collection, uri, etag, size, space, stores, metadata)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, coalesce(?7, ''))
         ON CONFLICT(collection, uri) DO UPDATE SET etag = ?3, size = ?4, space = ?5, stores = ?6,
         metadata = coalesce(?7, metadata)",
    )?
    .execute(params![collection.as_str(), uri, etag, indexed.size_bytes, space, stores, metadata])
    .map(drop)
}
