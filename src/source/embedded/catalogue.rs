//! The catalogue of the embedded server: the buckets, the objects, and the file with the bytes of each object. An
//! object exists from the commit of its row on. A file without a row does not belong to an object.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::files::Files;
use super::kept::KeptFiles;
use super::listing::{Page, PageRequest, list};
use crate::sqlite::{Sqlite, SqliteError, is_full};

/// Keys are blobs, so that they are ordered by their bytes and any key can be stored. `loose` lists the files without a
/// row in `object`: files that are being written, and files that were replaced and are not removed yet.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS bucket(name TEXT PRIMARY KEY, created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS object(
        bucket TEXT NOT NULL REFERENCES bucket(name),
        key BLOB NOT NULL,
        file TEXT NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified INTEGER NOT NULL,
        content_type TEXT,
        metadata TEXT NOT NULL,
        PRIMARY KEY (bucket, key)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS loose(file TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;";

/// An object in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The name of the file with its bytes.
    pub(super) file: String,
    pub(super) size: u64,
    /// The ETag, without quotes.
    pub(super) etag: String,
    /// Time of the last change in milliseconds since 1970.
    pub(super) modified: i64,
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// The result of a change that needs the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Done,
    NoBucket,
    /// The bucket exists already, or the object exists and must not be replaced.
    Exists,
    /// The bucket still contains objects.
    NotEmpty,
}

#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    db: Sqlite,
    files: Files,
    kept: KeptFiles,
}

impl Catalogue {
    /// Opens the catalogue and removes the files without a row that an earlier process left.
    pub(super) fn open(path: &Path, files: Files) -> Result<Self, SqliteError> {
        let old_files = files.clone();
        let db = Sqlite::open(path, |connection| {
            connection.execute_batch(SCHEMA)?;
            add_encoding(connection)?;
            let mut loose = connection.prepare("SELECT file FROM loose")?;
            for file in loose.query_map((), |row| row.get::<_, String>(0))? {
                old_files.remove(&file?);
            }
            match connection.execute_batch("DELETE FROM loose") {
                // The service must be able to start on a full disk. The next start removes the rows.
                Err(error) if is_full(&error) => {}
                deleted => deleted?,
            }
            KeptFiles::create_table(connection)
        })?;
        Ok(Self { db, files, kept: KeptFiles::default() })
    }

    pub(super) fn sqlite(&self) -> &Sqlite {
        &self.db
    }

    /// Keeps the files that are replaced or deleted from now on, until what is returned is dropped.
    pub(super) fn keep_files(&self) -> Arc<()> {
        self.kept.keep()
    }

    /// Removes the files that were kept.
    pub(super) async fn remove_kept_files(&self) -> Result<(), SqliteError> {
        loop {
            let (files, kept) = (self.files.clone(), self.kept.clone());
            if !self.db.call(move |connection| kept.remove_some(connection, &files)).await? {
                return Ok(());
            }
        }
    }

    pub(super) async fn buckets(&self) -> Result<Vec<(String, i64)>, SqliteError> {
        let call = |connection: &mut Connection| {
            let mut all = connection.prepare_cached("SELECT name, created FROM bucket ORDER BY name")?;
            all.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        self.db.call(call).await
    }

    pub(super) async fn has_bucket(&self, bucket: String) -> Result<bool, SqliteError> {
        self.db.call(move |connection| has_bucket(connection, &bucket)).await
    }

    pub(super) async fn create_bucket(&self, bucket: String) -> Result<Change, SqliteError> {
        let inserted = self.db.call(move |connection| {
            connection.execute("INSERT OR IGNORE INTO bucket VALUES (?1, ?2)", params![bucket, now_millis()])
        });
        Ok(if inserted.await? == 1 { Change::Done } else { Change::Exists })
    }

    pub(super) async fn delete_bucket(&self, bucket: String) -> Result<Change, SqliteError> {
        let call = move |connection: &mut Connection| {
            let has_objects = "SELECT EXISTS (SELECT 1 FROM object WHERE bucket = ?1)";
            if connection.query_row(has_objects, [&bucket], |row| row.get(0))? {
                return Ok(Change::NotEmpty);
            }
            let deleted = connection.execute("DELETE FROM bucket WHERE name = ?1", [&bucket])?;
            Ok(if deleted == 1 { Change::Done } else { Change::NoBucket })
        };
        self.db.call(call).await
    }

    /// Registers a file before it is written, so that the next start removes it after a crash.
    pub(super) async fn register_file(&self, file: String) -> Result<(), SqliteError> {
        self.db.call(move |connection| connection.execute("INSERT INTO loose VALUES (?1)", [file])).await.map(drop)
    }

    /// Makes a written file the content of the object and removes the file that it replaces. Runs to its end even if
    /// the caller is cancelled.
    pub(super) async fn commit(
        &self,
        bucket: String,
        key: String,
        entry: Entry,
        only_new: bool,
    ) -> Result<Change, SqliteError> {
        let (files, kept) = (self.files.clone(), self.kept.clone());
        let call = move |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            let old = find(&transaction, &bucket, &key)?;
            let refused = match (&old, has_bucket(&transaction, &bucket)?) {
                (_, false) => Some(Change::NoBucket),
                (Some(_), true) if only_new => Some(Change::Exists),
                (_, true) => None,
            };
            if refused.is_none() {
                insert(&transaction, &bucket, &key, &entry)?;
                transaction.execute("DELETE FROM loose WHERE file = ?1", [&entry.file])?;
            }
            let unused = if refused.is_some() { Some(entry.file) } else { old.map(|old| old.file) };
            if let Some(file) = &unused {
                mark_unused(&transaction, file)?;
            }
            transaction.commit()?;
            if let Some(file) = &unused {
                kept.remove(connection, &files, file)?;
            }
            Ok(refused.unwrap_or(Change::Done))
        };
        self.db.call(call).await
    }

    pub(super) async fn find(&self, bucket: String, key: String) -> Result<Option<Entry>, SqliteError> {
        self.db.call(move |connection| find(connection, &bucket, &key)).await
    }

    /// Removes objects. A missing object is not an error.
    pub(super) async fn delete(&self, bucket: String, keys: Vec<String>) -> Result<(), SqliteError> {
        let (files, kept) = (self.files.clone(), self.kept.clone());
        let call = move |connection: &mut Connection| {
            for key in &keys {
                let transaction = connection.transaction()?;
                if let Some(old) = find(&transaction, &bucket, key)? {
                    let statement = "DELETE FROM object WHERE bucket = ?1 AND key = ?2";
                    transaction.execute(statement, params![bucket, key.as_bytes()])?;
                    mark_unused(&transaction, &old.file)?;
                    transaction.commit()?;
                    kept.remove(connection, &files, &old.file)?;
                }
            }
            Ok(())
        };
        self.db.call(call).await
    }

    /// Returns one page of a listing.
    pub(super) async fn list(&self, bucket: String, request: PageRequest) -> Result<Page, SqliteError> {
        self.db.call(move |connection| list(connection, &bucket, &request)).await
    }
}

/// Adds the column for the `Content-Encoding`, which catalogues of version 0.1 do not have.
fn add_encoding(connection: &Connection) -> rusqlite::Result<()> {
    let column_exists = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('object') WHERE name = 'content_encoding')";
    if connection.query_row(column_exists, (), |row| row.get(0))? {
        return Ok(());
    }
    connection.execute_batch("ALTER TABLE object ADD COLUMN content_encoding TEXT")
}

fn has_bucket(connection: &Connection, bucket: &str) -> rusqlite::Result<bool> {
    let mut exists = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM bucket WHERE name = ?1)")?;
    exists.query_row([bucket], |row| row.get(0))
}

fn find(connection: &Connection, bucket: &str, key: &str) -> rusqlite::Result<Option<Entry>> {
    let mut one = connection.prepare_cached(
        "SELECT file, size, etag, modified, content_type, metadata, content_encoding FROM object
         WHERE bucket = ?1 AND key = ?2",
    )?;
    one.query_row(params![bucket, key.as_bytes()], entry).optional()
}

fn insert(transaction: &Transaction<'_>, bucket: &str, key: &str, entry: &Entry) -> rusqlite::Result<usize> {
    let Entry { file, size, etag, modified, content_type, content_encoding, metadata } = entry;
    let metadata = serde_json::to_string(metadata).unwrap_or_default();
    let mut upsert =
        transaction.prepare_cached(
            "INSERT OR REPLACE INTO object(bucket, key, file, size, etag, modified, content_type, metadata, content_encoding)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
    let size = i64::try_from(*size).unwrap_or(i64::MAX);
    upsert.execute(params![
        bucket,
        key.as_bytes(),
        file,
        size,
        etag,
        modified,
        content_type,
        metadata,
        content_encoding
    ])
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        file: row.get(0)?,
        size: row.get::<_, i64>(1)?.unsigned_abs(),
        etag: row.get(2)?,
        modified: row.get(3)?,
        content_type: row.get(4)?,
        content_encoding: row.get(6)?,
        metadata: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
    })
}

/// Registers a file that no row refers to any more, in the same transaction. If the process crashes before the file is
/// removed, the next start removes it.
fn mark_unused(transaction: &Transaction<'_>, file: &str) -> rusqlite::Result<()> {
    transaction.execute("INSERT OR IGNORE INTO loose VALUES (?1)", [file]).map(drop)
}

/// Returns the current time in milliseconds since 1970.
pub(super) fn now_millis() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
