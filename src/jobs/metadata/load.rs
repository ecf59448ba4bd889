//! From the bucket into the ledger, once a job: a job that is taken up again after its file was read keeps what it read.

use std::fmt::Write;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{BadFile, BadRow, FileKind, MAX_BYTES, Row};
use crate::domain::normal_form::{nfd, other_forms};
use crate::domain::{ImageUri, JobRecord};
use crate::jobs::keys::shown;
use crate::jobs::ledger::Ledger;
use crate::source::{Fetched, ImageSource, SourceError};
use crate::sqlite::SqliteError;

/// Rows of one transaction.
const CHUNK: usize = 1_000;
/// Transactions that may wait for the ledger.
const QUEUE: usize = 4;
/// Bad rows that the job's log names.
const NAMED: u64 = 5;
/// Rows without an image that the job's log names.
const NAMED_UNUSED: usize = 5;

/// Why a metadata file could not be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::jobs) enum MetadataError {
    /// It could not be read.
    #[error("{}", unread(.0, .1))]
    Source(ImageUri, #[source] SourceError),
    /// It could be read, but is of no use.
    #[error("the metadata file {0} cannot be used: {1}")]
    File(ImageUri, #[source] BadFile),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] SqliteError),
    /// Our own code did.
    #[error("reading the metadata file {0} panicked; see the log")]
    Panicked(ImageUri),
}

fn unread(uri: &ImageUri, error: &SourceError) -> String {
    match error {
        SourceError::Missing(_) => format!("there is no metadata file {uri}: check metadata_key"),
        SourceError::TooLarge { limit, .. } => {
            format!("the metadata file {uri} has more than {} MB, which is the most", limit / (1024 * 1024))
        }
        other => format!("the metadata file {uri} could not be read: {other}"),
    }
}

/// What became of the rows of a file.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Kept for the job.
    kept: u64,
    /// About keys that the job does not look at.
    outside: u64,
    /// Of no use.
    bad: u64,
}

/// Reads the metadata file of a job, if it names one and has not read it before, until `stop`.
pub(in crate::jobs) async fn load(
    ledger: &Ledger,
    source: &dyn ImageSource,
    job: &JobRecord,
    stop: &CancellationToken,
) -> Result<(), MetadataError> {
    let Some(key) = &job.spec.metadata_key else { return Ok(()) };
    if ledger.has_metadata(job.id).await? {
        return Ok(());
    }
    let uri = ImageUri::new(&job.spec.bucket, key);
    let read = async {
        // Half of a file may be there from a process that ended over it.
        ledger.forget_metadata(job.id).await?;
        let (uri, file) = fetch(source, uri).await?;
        let bytes = file.decoded(MAX_BYTES).await.map_err(|error| MetadataError::File(uri.clone(), error.into()))?;
        let tally = into_ledger(ledger, job, &uri, bytes).await?;
        let distinct = ledger.metadata_is_read(job.id).await?;
        let line = format!(
            "metadata file {uri}: {distinct} keys have a row, {} rows cannot be used, {} are about other keys, {} keys \
             came again (their last row counts)",
            tally.bad,
            tally.outside,
            tally.kept - distinct
        );
        ledger.log(job.id, line).await?;
        Ok(())
    };
    tokio::select! {
        read = read => read,
        () = stop.cancelled() => Ok(()),
    }
}

/// Reads the file. Where it is not there, its key may have been typed in another Unicode normal form.
async fn fetch(source: &dyn ImageSource, uri: ImageUri) -> Result<(ImageUri, Fetched), MetadataError> {
    let mut missing = match source.fetch_file(&uri, MAX_BYTES).await {
        Ok(file) => return Ok((uri, file)),
        Err(error) => error,
    };
    for (_, key) in other_forms(uri.key()) {
        if !matches!(missing, SourceError::Missing(_)) {
            break;
        }
        let other = ImageUri::new(uri.bucket(), &key);
        match source.fetch_file(&other, MAX_BYTES).await {
            Ok(file) => return Ok((other, file)),
            Err(SourceError::Missing(_)) => {}
            Err(error) => missing = error,
        }
    }
    Err(MetadataError::Source(uri, missing))
}

/// Says in the job's log how many of its images found a row of the metadata file, and which rows found no image.
///
/// # Errors
/// [`SqliteError`]
pub(in crate::jobs) async fn log_joined(ledger: &Ledger, job: &JobRecord, images: u64) -> Result<(), SqliteError> {
    if job.spec.metadata_key.is_none() {
        return Ok(());
    }
    let joined = ledger.metadata_joined(job.id, NAMED_UNUSED).await?;
    let mut line = format!("metadata file: {} of {images} images found a row", joined.images);
    // A retry looks at few images: that the others' rows are not used says nothing.
    if job.spec.retry_of.is_none() && joined.unused > 0 {
        let named: Vec<String> = joined.examples.iter().map(|uri| format!("`{}`", shown(uri.key()))).collect();
        let more = joined.unused.saturating_sub(named.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(line, "; {} rows found no image: {}{more}", joined.unused, named.join(", ")).ok();
    }
    ledger.log(job.id, line).await
}

async fn into_ledger(
    ledger: &Ledger,
    job: &JobRecord,
    uri: &ImageUri,
    bytes: bytes::Bytes,
) -> Result<Tally, MetadataError> {
    let kind = FileKind::of(uri.key()).unwrap_or(FileKind::Csv);
    let (chunks, mut rows) = mpsc::channel::<Chunk>(QUEUE);
    let prefix = job.spec.prefix.clone();
    let parsing = tokio::task::spawn_blocking(move || parse(kind, &bytes, &prefix, &chunks));
    let mut said = 0;
    while let Some(chunk) = rows.recv().await {
        for BadRow { line, reason } in chunk.bad {
            said += 1;
            if said <= NAMED {
                ledger.log(job.id, format!("metadata file, line {line}: {reason}")).await?;
            }
        }
        ledger.put_metadata(job.id, job.spec.bucket.clone(), chunk.rows).await?;
    }
    match parsing.await {
        Ok(Ok(tally)) => Ok(tally),
        Ok(Err(file)) => Err(MetadataError::File(uri.clone(), file)),
        Err(panic) => {
            tracing::error!(job.id = %job.id, %panic, "metadata file");
            Err(MetadataError::Panicked(uri.clone()))
        }
    }
}

#[derive(Default)]
struct Chunk {
    rows: Vec<Row>,
    /// The first of the file.
    bad: Vec<BadRow>,
}

/// Ends early where nobody takes chunks any more.
fn parse(kind: FileKind, bytes: &[u8], prefix: &str, chunks: &mpsc::Sender<Chunk>) -> Result<Tally, BadFile> {
    let folded = nfd(prefix);
    let mut tally = Tally::default();
    let mut chunk = Chunk::default();
    kind.read(bytes, &mut |row| {
        match row {
            Ok(row) if row.key.starts_with(prefix) || nfd(&row.key).starts_with(&*folded) => {
                tally.kept += 1;
                chunk.rows.push(row);
            }
            Ok(_) => tally.outside += 1,
            Err(bad) => {
                tally.bad += 1;
                if tally.bad <= NAMED {
                    chunk.bad.push(bad);
                }
            }
        }
        chunk.rows.len() < CHUNK || chunks.blocking_send(std::mem::take(&mut chunk)).is_ok()
    })?;
    // The receiver goes away only where the job was stopped.
    drop(chunks.blocking_send(chunk));
    Ok(tally)
}
