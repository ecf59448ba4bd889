//! Which version of each object a collection has, and in which stores. So a job reads only objects that are new or
//! changed (compared by ETag and size, never by timestamp), and writes them only to the stores that lack them.

pub(crate) mod forget;

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::{CollectionName, ImageRef, ImageUri, StoreSet, object_version};
use crate::ledger::Ledger;
use crate::ledger::jobs::parse_column;
use crate::pipeline::Indexed;
use crate::sqlite::SqliteError;

/// One object of a collection, as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
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

impl Ledger {
    /// Forgets one object of a collection.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
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

    /// Whether a collection has objects whose URIs begin with `prefix`.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
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

    /// Returns at most `limit` objects of a collection after the URI `after`, in the order of their URIs.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
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
                        uri: parse_column(row, 0, |text| ImageUri::parse(text).ok())?,
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

    /// Records which stores have these objects of a collection. An object that no store has is forgotten.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn know(&self, collection: CollectionName, objects: Vec<Known>) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let tx = db.transaction()?;
                for Known { uri, etag, size_bytes, space, stores } in objects {
                    if stores.is_empty() {
                        let key = params![collection.as_str(), uri.as_str()];
                        tx.execute("DELETE FROM objects WHERE collection = ?1 AND uri = ?2", key)?;
                    } else {
                        let indexed = Indexed { etag: Some(etag), size_bytes, stores, copied: true };
                        put(&tx, &collection, uri.as_str(), &space, &indexed, None)?;
                    }
                }
                tx.commit()
            })
            .await
    }
}

/// Returns a known object of the collection with the same ETag and size, in the same space: its bytes are possibly the
/// same, and then its vector is too. It can be the object itself, if only its metadata row has changed.
pub(crate) fn possible_copy(
    db: &Connection,
    collection: &CollectionName,
    space: &str,
    image: &ImageRef,
) -> rusqlite::Result<Option<String>> {
    let Some(etag) = image.etag.as_ref().filter(|version| !object_version::is_last_modified(version)) else {
        return Ok(None);
    };
    db.prepare_cached(
        "SELECT uri FROM objects INDEXED BY objects_by_etag
         WHERE etag = ?1 AND collection = ?2 AND size = ?3 AND space = ?4 LIMIT 1",
    )?
    .query_row(params![etag, collection.as_str(), image.size_bytes, space], |row| row.get(0))
    .optional()
}

/// Records which stores have the object, and the digest of the metadata row that it was joined with (`None`:
/// unchanged). An object without an ETag is not recorded, so the next job reads it again.
pub(crate) fn put(
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
