//! Rows of the metadata files of unfinished jobs. They are removed with the work of their job; only the digest of a row
//! remains, with the object that it was joined to.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::domain::normal_form::nfc;
use crate::domain::{ImageRef, ImageUri, JobId};
use crate::jobs::run::metadata;
use crate::ledger::Ledger;
use crate::sqlite::SqliteError;

impl Ledger {
    /// Whether the metadata file of a job was read to its end.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn has_metadata(&self, job: JobId) -> Result<bool, SqliteError> {
        let read = "SELECT metadata_read FROM jobs WHERE id = ?1";
        self.db.call(move |db| db.query_row(read, [job.to_string()], |row| row.get(0))).await
    }

    /// Forgets the rows of a job's metadata file.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn forget_metadata(&self, job: JobId) -> Result<(), SqliteError> {
        self.delete_rows("metadata", "uri", &job.to_string()).await
    }

    /// Stores rows of a job's metadata file. If two rows have the same key, the later one replaces the earlier one.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub(crate) async fn put_metadata(
        &self,
        job: JobId,
        bucket: String,
        rows: Vec<metadata::Row>,
    ) -> Result<(), SqliteError> {
        self.db
            .call(move |db| {
                let tx = db.transaction()?;
                let mut insert = tx.prepare_cached(
                    "INSERT OR REPLACE INTO metadata(job, uri, columns, digest, folded) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?;
                for row in rows {
                    let uri = ImageUri::new(&bucket, &row.key);
                    let columns = super::jobs::to_json(&row.columns)?;
                    let folded = (!row.key.is_ascii()).then(|| nfc(uri.as_str()));
                    insert.execute(params![job.to_string(), uri.as_str(), columns, row.digest(), folded])?;
                }
                drop(insert);
                tx.commit()
            })
            .await
    }

    /// Records that the metadata file of a job was read to its end. Returns how many keys have a row.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn metadata_is_read(&self, job: JobId) -> Result<u64, SqliteError> {
        let read = "UPDATE jobs SET metadata_read = 1 WHERE id = ?1";
        self.db.call(move |db| db.execute(read, [job.to_string()]).map(drop)).await?;
        self.count_uris("metadata", "TRUE", job).await
    }
}

/// The metadata row of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageRow {
    /// The row's own URI: that of the image, or the same URI in another Unicode normal form. `None` if the image has no
    /// row.
    uri: Option<String>,
    /// The digest of the row; empty if the image has no row.
    pub(crate) digest: String,
}

/// Returns the row of each image.
pub(crate) fn rows_of_images(db: &Connection, job: &str, images: &[ImageRef]) -> rusqlite::Result<Vec<ImageRow>> {
    let row = |image: &ImageRef| {
        let (uri, digest) = find(db, job, image.uri.as_str(), Column::Digest)?.unzip();
        Ok(ImageRow { uri, digest: digest.unwrap_or_default() })
    };
    images.iter().map(row).collect()
}

/// Counts an image that was joined with this row.
pub(crate) fn count_joined(db: &Connection, job: &str, row: &ImageRow) -> rusqlite::Result<()> {
    let Some(uri) = &row.uri else { return Ok(()) };
    db.prepare_cached("UPDATE metadata SET images = images + 1 WHERE job = ?1 AND uri = ?2")?
        .execute([job, uri])
        .map(drop)
}

/// Returns the digest of an image's row; empty if the file has no row for the image.
pub(crate) fn digest(db: &Connection, job: &str, uri: &str) -> rusqlite::Result<String> {
    Ok(find(db, job, uri, Column::Digest)?.map(|(_, digest)| digest).unwrap_or_default())
}

/// Returns the columns of an image's row; empty if the file has no row for the image.
pub(crate) fn columns(db: &Connection, job: &str, image: &ImageUri) -> rusqlite::Result<BTreeMap<String, String>> {
    let columns = find(db, job, image.as_str(), Column::Columns)?.map(|(_, columns)| columns);
    let read = columns.map(|text| serde_json::from_str(&text)).transpose();
    read.map(Option::unwrap_or_default)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into()))
}

/// A column of a row.
#[derive(Clone, Copy)]
enum Column {
    Digest,
    Columns,
}

/// Returns the URI and a column of an image's row: of the row with exactly this URI, or else of one with the URI in
/// another normal form.
fn find(db: &Connection, job: &str, uri: &str, column: Column) -> rusqlite::Result<Option<(String, String)>> {
    let (exact, any_form) = match column {
        Column::Digest => (
            "SELECT uri, digest FROM metadata WHERE job = ?1 AND uri = ?2",
            "SELECT uri, digest FROM metadata WHERE job = ?1 AND folded = ?2 ORDER BY uri LIMIT 1",
        ),
        Column::Columns => (
            "SELECT uri, columns FROM metadata WHERE job = ?1 AND uri = ?2",
            "SELECT uri, columns FROM metadata WHERE job = ?1 AND folded = ?2 ORDER BY uri LIMIT 1",
        ),
    };
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found = db.prepare_cached(exact)?.query_row([job, uri], read).optional()?;
    if found.is_some() || uri.is_ascii() {
        return Ok(found);
    }
    db.prepare_cached(any_form)?.query_row([job, nfc(uri).as_ref()], read).optional()
}

/// How the rows of a job's metadata file were used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Number of images with a row.
    pub images: u64,
    /// Number of rows without an image.
    pub unused: u64,
    /// The URIs of the first rows without an image.
    pub examples: Vec<ImageUri>,
}

/// Maximum number of rows that are read in one call of the database.
const ROWS_PER_CALL: u32 = 20_000;

impl Ledger {
    /// Returns how the rows of a job's metadata file were used so far, with at most `examples` unused rows.
    ///
    /// # Errors
    /// Returns [`SqliteError`] if the database call fails.
    pub async fn metadata_joined(&self, job: JobId, examples: usize) -> Result<Joined, SqliteError> {
        let mut joined = Joined::default();
        let mut after = String::new();
        loop {
            let from = after.clone();
            let call = move |db: &mut Connection| {
                db.prepare_cached("SELECT uri, images FROM metadata WHERE job = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3")?
                    .query_map(params![job.to_string(), from, ROWS_PER_CALL], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<rusqlite::Result<Vec<(String, u64)>>>()
            };
            let rows = self.db.call(call).await?;
            let Some((last, _)) = rows.last() else { return Ok(joined) };
            after.clone_from(last);
            for (uri, images) in rows {
                joined.images += images;
                joined.unused += u64::from(images == 0);
                if images == 0 && joined.examples.len() < examples {
                    joined.examples.extend(ImageUri::parse(&uri).ok());
                }
            }
        }
    }
}
