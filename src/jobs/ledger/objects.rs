//! What each collection has of which object, so that a job reads only what is new or changed: by ETag and size, never
//! by timestamps.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::Ledger;
use crate::domain::{CollectionName, ImageId, ImageRef, ImageUri};
use crate::pipeline::Indexed;
use crate::sqlite::SqliteError;

impl Ledger {
    /// Forgets what a collection was believed to hold: it is new, or gone.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget_collection(&self, collection: CollectionName) -> Result<(), SqliteError> {
        self.db
            .call(move |db| db.execute("DELETE FROM objects WHERE collection = ?1", [collection.as_str()]).map(drop))
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

    /// Forgets objects by the ids of their records. Walks all of the collection: for what a store has lost.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget_ids(&self, collection: CollectionName, ids: HashSet<ImageId>) -> Result<u64, SqliteError> {
        self.forget_where(collection, move |id| ids.contains(&id)).await
    }

    /// Forgets all objects but those of these ids; says how many.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn keep_only(&self, collection: CollectionName, ids: HashSet<ImageId>) -> Result<u64, SqliteError> {
        self.forget_where(collection, move |id| !ids.contains(&id)).await
    }

    /// How many objects a collection is believed to hold.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn object_count(&self, collection: CollectionName) -> Result<u64, SqliteError> {
        let count = "SELECT count(*) FROM objects WHERE collection = ?1";
        self.db.call(move |db| db.query_row(count, [collection.as_str()], |row| row.get(0))).await
    }

    async fn forget_where(
        &self,
        collection: CollectionName,
        lost: impl Fn(ImageId) -> bool + Send + 'static,
    ) -> Result<u64, SqliteError> {
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                let uris = all
                    .prepare("SELECT uri FROM objects WHERE collection = ?1")?
                    .query_map([collection.as_str()], |row| row.get(0))?
                    .collect::<rusqlite::Result<Vec<String>>>()?;
                let mut forgotten = 0;
                for uri in uris {
                    if ImageUri::parse(&uri).is_ok_and(|uri| lost(uri.id())) {
                        let these = params![collection.as_str(), uri];
                        all.execute("DELETE FROM objects WHERE collection = ?1 AND uri = ?2", these)?;
                        forgotten += 1;
                    }
                }
                all.commit()?;
                Ok(forgotten)
            })
            .await
    }
}

/// Whether the collection has this very object, in this space. An object without an ETag cannot be compared.
pub(super) fn has(
    db: &Connection,
    collection: &CollectionName,
    space: &str,
    image: &ImageRef,
) -> rusqlite::Result<bool> {
    let Some(etag) = &image.etag else { return Ok(false) };
    let known: Option<(String, u64, String)> = db
        .prepare_cached("SELECT etag, size, space FROM objects WHERE collection = ?1 AND uri = ?2")?
        .query_row(params![collection.as_str(), image.uri.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(known.is_some_and(|(had, size, in_space)| had == *etag && size == image.size_bytes && in_space == space))
}

/// Notes that the collection has it. What came without an ETag is read again by the next job.
pub(super) fn put(
    db: &Connection,
    collection: &CollectionName,
    uri: &str,
    space: &str,
    indexed: &Indexed,
) -> rusqlite::Result<()> {
    let Some(etag) = &indexed.etag else { return Ok(()) };
    db.prepare_cached("INSERT OR REPLACE INTO objects(collection, uri, etag, size, space) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![collection.as_str(), uri, etag, indexed.size_bytes, space])
        .map(drop)
}
