//! What each collection has of which object, and in which stores, so that a job reads only what is new or changed (by ETag
//! and size, never by timestamps) and writes only where it is missing.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::Ledger;
use super::jobs::parsed;
use crate::domain::{CollectionName, Holders, ImageId, ImageRef, ImageUri, object_version};
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
    pub stores: Holders,
}

/// Whether a row's list of stores has the one of the second parameter: mostly it is the only one, and that is told faster.
const HELD: &str = "(stores = ?2 OR instr(',' || stores || ',', ',' || ?2 || ',') > 0)";
/// The row's list without it.
const WITHOUT: &str = "trim(replace(',' || stores || ',', ',' || ?2 || ',', ','), ',')";

impl Ledger {
    /// Forgets what a collection was believed to hold: it is gone from every store.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget_collection(&self, collection: CollectionName) -> Result<(), SqliteError> {
        self.db
            .call(move |db| db.execute("DELETE FROM objects WHERE collection = ?1", [collection.as_str()]).map(drop))
            .await
    }

    /// Forgets what one store was believed to hold of a collection: there it is new.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget_store(&self, collection: CollectionName, store: &'static str) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                let these = params![collection.as_str(), store];
                all.execute(&format!("UPDATE objects SET stores = {WITHOUT} WHERE collection = ?1 AND {HELD}"), these)?;
                all.execute("DELETE FROM objects WHERE collection = ?1 AND stores = ''", [collection.as_str()])?;
                // Items of a job that was interrupted, too.
                let jobs = "SELECT id FROM jobs WHERE collection = ?1 AND state IN ('PENDING', 'RUNNING')";
                let without = WITHOUT.replace("stores", "have");
                all.execute(&format!("UPDATE items SET have = {without} WHERE have <> '' AND job IN ({jobs})"), these)?;
                all.commit()
            })
            .await
    }

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

    /// Forgets that a store has any objects but these; says how many.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn keep_only(
        &self,
        collection: CollectionName,
        store: &'static str,
        ids: HashSet<ImageId>,
    ) -> Result<u64, SqliteError> {
        self.forget_where(collection, store, move |id| !ids.contains(&id)).await
    }

    /// How many objects of a collection a store is believed to hold.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn held_count(&self, collection: CollectionName, store: &'static str) -> Result<u64, SqliteError> {
        let count = format!("SELECT count(*) FROM objects WHERE collection = ?1 AND {HELD}");
        self.db.call(move |db| db.query_row(&count, params![collection.as_str(), store], |row| row.get(0))).await
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
        self.db
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
                        stores: Holders::parse(&row.get::<_, String>(4)?),
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

    async fn forget_where(
        &self,
        collection: CollectionName,
        store: &'static str,
        lost: impl Fn(ImageId) -> bool + Send + 'static,
    ) -> Result<u64, SqliteError> {
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                let uris = all
                    .prepare(&format!("SELECT uri FROM objects WHERE collection = ?1 AND {HELD}"))?
                    .query_map(params![collection.as_str(), store], |row| row.get(0))?
                    .collect::<rusqlite::Result<Vec<String>>>()?;
                let forget = format!("UPDATE objects SET stores = {WITHOUT} WHERE collection = ?1 AND uri = ?3");
                let mut forgotten = 0;
                for uri in uris {
                    if ImageUri::parse(&uri).is_ok_and(|uri| lost(uri.id())) {
                        all.prepare_cached(&forget)?.execute(params![collection.as_str(), store, uri])?;
                        forgotten += 1;
                    }
                }
                all.execute("DELETE FROM objects WHERE collection = ?1 AND stores = ''", [collection.as_str()])?;
                all.commit()?;
                Ok(forgotten)
            })
            .await
    }
}

/// A known object of the collection with the same ETag and size, in the same space: its bytes may be the same, and then its
/// vector is. It may be the object itself, whose row of metadata has changed.
pub(super) fn twin(
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
