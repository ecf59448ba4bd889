//! Rows of the metadata files of unfinished jobs. They are removed with the work of their job; only the digest of a row
//! remains, with the object that it was joined to.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::domain::normal_form::nfc;
use crate::domain::{CollectionName, ImageRef, ImageUri, JobId, MetadataRow};
use crate::ledger::Step;
use crate::ledger::columns::Json;
use crate::ledger::objects::forget::count_uris;
use crate::ledger::prune::delete_rows;

/// Whether the metadata file of a job was read to its end.
pub(crate) fn is_read(db: &Connection, job: JobId) -> rusqlite::Result<bool> {
    db.query_row("SELECT metadata_read FROM jobs WHERE id = ?1", [job], |row| row.get(0))
}

/// Records that the metadata file of a job was read to its end.
pub(crate) fn set_read(tx: &Transaction<'_>, job: JobId) -> rusqlite::Result<()> {
    tx.execute("UPDATE jobs SET metadata_read = 1 WHERE id = ?1", [job]).map(drop)
}

/// Forgets, in steps, the rows of a job's metadata file.
pub(crate) fn forget(job: JobId) -> impl FnMut(&Transaction<'_>) -> Step<()> + Send + 'static {
    delete_rows(&[("metadata", "uri")], job)
}

/// Counts, in steps, the keys that have a row.
pub(crate) fn count(job: JobId) -> impl FnMut(&Connection) -> Step<u64> + Send + 'static {
    count_uris("metadata", "TRUE", job)
}

/// Stores rows of a job's metadata file. If two rows have the same key, the later one replaces the earlier one.
pub(crate) fn put(tx: &Transaction<'_>, job: JobId, bucket: &str, rows: &[MetadataRow]) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO metadata(job, uri, columns, digest, folded) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for row in rows {
        let uri = ImageUri::new(bucket, &row.key);
        let folded = (!row.key.is_ascii()).then(|| nfc(uri.as_str()));
        insert.execute(params![job, uri, Json(&row.columns), row.digest(), folded])?;
    }
    Ok(())
}

/// Stores the metadata that images of a generation have already, with the digests of the rows that it is from.
pub(crate) fn put_known(
    tx: &Transaction<'_>,
    job: JobId,
    source: &CollectionName,
    known: &[(ImageUri, BTreeMap<String, String>)],
) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO metadata(job, uri, columns, digest)
         SELECT ?1, ?3, ?4, metadata FROM objects WHERE collection = ?2 AND uri = ?3",
    )?;
    for (uri, columns) in known {
        insert.execute(params![job, source, uri, Json(columns)])?;
    }
    Ok(())
}

/// The metadata row of an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageRow {
    /// The row's own URI: that of the image, or the same URI in another Unicode normal form. `None` if the image has no
    /// row.
    uri: Option<ImageUri>,
    /// The digest of the row; empty if the image has no row.
    pub(crate) digest: String,
}

/// Returns the row of each image.
pub(crate) fn rows_of_images(db: &Connection, job: JobId, images: &[ImageRef]) -> rusqlite::Result<Vec<ImageRow>> {
    let row = |image: &ImageRef| {
        let (uri, digest) = find(db, job, &image.uri, "digest")?.unzip();
        Ok(ImageRow { uri, digest: digest.unwrap_or_default() })
    };
    images.iter().map(row).collect()
}

/// Counts an image that was joined with this row.
pub(crate) fn count_joined(tx: &Transaction<'_>, job: JobId, row: &ImageRow) -> rusqlite::Result<()> {
    let Some(uri) = &row.uri else { return Ok(()) };
    tx.prepare_cached("UPDATE metadata SET images = images + 1 WHERE job = ?1 AND uri = ?2")?
        .execute(params![job, uri])
        .map(drop)
}

/// Returns the digest of an image's row; empty if the file has no row for the image.
pub(crate) fn digest(db: &Connection, job: JobId, image: &ImageUri) -> rusqlite::Result<String> {
    Ok(find(db, job, image, "digest")?.map(|(_, digest)| digest).unwrap_or_default())
}

/// Returns the columns of an image's row; empty if the file has no row for the image.
pub(crate) fn columns(db: &Connection, job: JobId, image: &ImageUri) -> rusqlite::Result<BTreeMap<String, String>> {
    Ok(find(db, job, image, "columns")?.map(|(_, Json(columns))| columns).unwrap_or_default())
}

/// Returns the URI and a column of an image's row: of the row with exactly this URI, or else of one with the URI in
/// another normal form.
fn find<T: FromSql>(
    db: &Connection,
    job: JobId,
    image: &ImageUri,
    column: &str,
) -> rusqlite::Result<Option<(ImageUri, T)>> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let exact = format!("SELECT uri, {column} FROM metadata WHERE job = ?1 AND uri = ?2");
    let found = db.prepare_cached(&exact)?.query_row(params![job, image], read).optional()?;
    if found.is_some() || image.as_str().is_ascii() {
        return Ok(found);
    }
    let any_form = format!("SELECT uri, {column} FROM metadata WHERE job = ?1 AND folded = ?2 ORDER BY uri LIMIT 1");
    db.prepare_cached(&any_form)?.query_row(params![job, nfc(image.as_str())], read).optional()
}

/// How the rows of a job's metadata file were used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Number of images with a row.
    pub(crate) images: u64,
    /// Number of rows without an image.
    pub(crate) unused: u64,
    /// The URIs of the first rows without an image.
    pub(crate) examples: Vec<ImageUri>,
}

/// Maximum number of rows that are read in one step.
const ROWS_PER_STEP: u32 = 20_000;

/// Returns, in steps, how the rows of a job's metadata file were used so far, with at most `examples` unused rows.
pub(crate) fn joined(job: JobId, examples: usize) -> impl FnMut(&Connection) -> Step<Joined> + Send + 'static {
    let (mut joined, mut after) = (Joined::default(), String::new());
    move |db| {
        let rows = db
            .prepare_cached("SELECT uri, images FROM metadata WHERE job = ?1 AND uri > ?2 ORDER BY uri LIMIT ?3")?
            .query_map(params![job, after, ROWS_PER_STEP], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(ImageUri, u64)>>>()?;
        let Some((last, _)) = rows.last() else { return Ok(ControlFlow::Break(std::mem::take(&mut joined))) };
        after = last.to_string();
        for (uri, images) in rows {
            joined.images += images;
            joined.unused += u64::from(images == 0);
            if images == 0 && joined.examples.len() < examples {
                joined.examples.push(uri);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
