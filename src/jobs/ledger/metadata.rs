//! Rows of the metadata files of jobs that are under way. They go with their job; what remains of a row is its digest, beside
//! the object that it was joined to.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::Ledger;
use crate::domain::{ImageRef, ImageUri, JobId};
use crate::jobs::metadata::Row;
use crate::sqlite::SqliteError;

impl Ledger {
    /// Whether the metadata file of a job was read to its end.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn has_metadata(&self, job: JobId) -> Result<bool, SqliteError> {
        let read = "SELECT metadata_read FROM jobs WHERE id = ?1";
        self.db.call(move |db| db.query_row(read, [job.to_string()], |row| row.get(0))).await
    }

    /// Forgets the rows of a job's metadata file.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn forget_metadata(&self, job: JobId) -> Result<(), SqliteError> {
        self.drop_all("metadata", "uri", &job.to_string()).await
    }

    /// Keeps rows of a job's metadata file; of two with one key the later.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub(in crate::jobs) async fn put_metadata(
        &self,
        job: JobId,
        bucket: String,
        rows: Vec<Row>,
    ) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let all = db.transaction()?;
                let mut insert = all.prepare_cached(
                    "INSERT OR REPLACE INTO metadata(job, uri, columns, digest) VALUES (?1, ?2, ?3, ?4)",
                )?;
                for row in rows {
                    let uri = ImageUri::new(&bucket, &row.key);
                    let columns = super::jobs::to_json(&row.columns)?;
                    insert.execute(params![job.to_string(), uri.as_str(), columns, row.digest()])?;
                }
                drop(insert);
                all.commit()
            })
            .await
    }

    /// Notes that the metadata file of a job was read to its end; says how many images have a row.
    ///
    /// # Errors
    /// [`SqliteError`]
    pub async fn metadata_is_read(&self, job: JobId) -> Result<u64, SqliteError> {
        let read = "UPDATE jobs SET metadata_read = 1 WHERE id = ?1";
        self.db.call(move |db| db.execute(read, [job.to_string()]).map(drop)).await?;
        self.count_uris("metadata", job).await
    }
}

/// The digest of each image's row; empty where the file has no row for it.
pub(super) fn digests(db: &Connection, job: &str, images: &[ImageRef]) -> rusqlite::Result<Vec<String>> {
    images.iter().map(|image| digest(db, job, image.uri.as_str())).collect()
}

/// The digest of an image's row; empty where the file has no row for it.
pub(super) fn digest(db: &Connection, job: &str, uri: &str) -> rusqlite::Result<String> {
    let digest: Option<String> = db
        .prepare_cached("SELECT digest FROM metadata WHERE job = ?1 AND uri = ?2")?
        .query_row([job, uri], |row| row.get(0))
        .optional()?;
    Ok(digest.unwrap_or_default())
}

/// The columns of an image's row; none where the file has no row for it.
pub(super) fn columns(db: &Connection, job: &str, image: &ImageUri) -> rusqlite::Result<BTreeMap<String, String>> {
    let columns: Option<String> = db
        .prepare_cached("SELECT columns FROM metadata WHERE job = ?1 AND uri = ?2")?
        .query_row(params![job, image.as_str()], |row| row.get(0))
        .optional()?;
    let read = columns.map(|text| serde_json::from_str(&text)).transpose();
    read.map(Option::unwrap_or_default)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))
}
