//! Reads the metadata file of a job from the bucket into the ledger, once per job: a job that continues after its file
//! was read keeps the rows.

use std::fmt::Write;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::normal_form::{nfd, other_forms};
use crate::domain::{ImageUri, JobRecord, MetadataRow};
use crate::jobs::run::listing::keys::shown;
use crate::jobs::run::metadata::{BadFile, BadRow, FileKind, MAX_BYTES};
use crate::ledger::{Ledger, LedgerError, metadata};
use crate::source::{Fetched, ImageSource, SourceError};

/// Rows in one transaction.
const CHUNK_ROWS: usize = 1_000;
/// Maximum chunks that wait for the ledger.
const QUEUE_CHUNKS: usize = 4;
/// Maximum bad rows that the job's log lists.
const MAX_LOGGED_BAD_ROWS: u64 = 5;
/// Maximum rows without an image that the job's log lists.
const MAX_LOGGED_UNUSED_ROWS: usize = 5;

/// Why a metadata file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataError {
    /// The file could not be read.
    #[error("{}", source_message(.0, .1))]
    Source(ImageUri, #[source] SourceError),
    /// The file could be read, but its content cannot be used.
    #[error("the metadata file {0} cannot be used: {1}")]
    File(ImageUri, #[source] BadFile),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The service's code panicked.
    #[error("reading the metadata file {0} panicked; the log has the details")]
    Panicked(ImageUri),
}

fn source_message(uri: &ImageUri, error: &SourceError) -> String {
    match error {
        SourceError::Missing(_) => format!("there is no metadata file {uri}: check metadata_key"),
        SourceError::TooLarge { limit, .. } => {
            format!("the metadata file {uri} is larger than {} MB, which is the maximum", limit / (1024 * 1024))
        }
        other => format!("the metadata file {uri} could not be read: {other}"),
    }
}

/// The numbers of rows of a file.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Rows that are kept for the job.
    kept: u64,
    /// Rows about keys outside of the job's prefix.
    outside: u64,
    /// Rows that cannot be used.
    bad: u64,
}

/// Reads the metadata file of a job, if the job names one and has not read it before. Ends early on `stop`.
pub(crate) async fn load(
    ledger: &Ledger,
    source: &dyn ImageSource,
    job: &JobRecord,
    stop: &CancellationToken,
) -> Result<(), MetadataError> {
    let Some(key) = &job.spec.metadata_key else { return Ok(()) };
    let id = job.id;
    if ledger.read(move |db| metadata::is_read(db, id)).await? {
        return Ok(());
    }
    let uri = ImageUri::new(&job.spec.bucket, key);
    let read = async {
        // A process that ended while it read the file may have left some of its rows.
        ledger.in_steps(metadata::forget(id)).await?;
        let (uri, file) = fetch(source, uri).await?;
        let bytes = file.decoded(MAX_BYTES).await.map_err(|error| MetadataError::File(uri.clone(), error.into()))?;
        let tally = write_to_ledger(ledger, job, &uri, bytes).await?;
        ledger.write(move |tx| metadata::set_read(tx, id)).await?;
        let distinct = ledger.read_in_steps(metadata::count(id)).await?;
        let line = format!(
            "metadata file {uri}: keys with a row: {distinct}; rows that cannot be used: {}; rows about other keys: {}; \
             rows replaced by a later row for the same key: {}",
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

/// Fetches the file. If it is missing, also tries its key in the other Unicode normal forms.
async fn fetch(source: &dyn ImageSource, uri: ImageUri) -> Result<(ImageUri, Fetched), MetadataError> {
    let mut failure = match source.fetch_file(&uri, MAX_BYTES).await {
        Ok(file) => return Ok((uri, file)),
        Err(error) => error,
    };
    for (_, key) in other_forms(uri.key()) {
        if !matches!(failure, SourceError::Missing(_)) {
            break;
        }
        let other = ImageUri::new(uri.bucket(), &key);
        match source.fetch_file(&other, MAX_BYTES).await {
            Ok(file) => return Ok((other, file)),
            Err(SourceError::Missing(_)) => {}
            Err(error) => failure = error,
        }
    }
    Err(MetadataError::Source(uri, failure))
}

/// Writes into the job's log how many images found a row of the metadata file, and which rows found no image.
///
/// # Errors
/// [`LedgerError`]
pub(crate) async fn log_joined(ledger: &Ledger, job: &JobRecord, images: u64) -> Result<(), LedgerError> {
    if job.spec.metadata_key.is_none() {
        return Ok(());
    }
    let joined = ledger.read_in_steps(metadata::joined(job.id, MAX_LOGGED_UNUSED_ROWS)).await?;
    let mut line = format!("metadata file: images with a row: {} of {images}", joined.images);
    // A retry processes only a few images, so unused rows are normal.
    if job.spec.retry_of.is_none() && joined.unused > 0 {
        let examples: Vec<String> = joined.examples.iter().map(|uri| format!("`{}`", shown(uri.key()))).collect();
        let more = joined.unused.saturating_sub(examples.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(line, "; rows without an image: {} ({}{more})", joined.unused, examples.join(", ")).ok();
    }
    ledger.log(job.id, line).await
}

async fn write_to_ledger(
    ledger: &Ledger,
    job: &JobRecord,
    uri: &ImageUri,
    bytes: bytes::Bytes,
) -> Result<Tally, MetadataError> {
    let kind = FileKind::from_key(uri.key()).unwrap_or(FileKind::Csv);
    let (chunks, mut rows) = mpsc::channel::<Chunk>(QUEUE_CHUNKS);
    let prefix = job.spec.prefix.clone();
    let parsing = tokio::task::spawn_blocking(move || parse(kind, &bytes, &prefix, &chunks));
    let mut logged = 0;
    while let Some(chunk) = rows.recv().await {
        for BadRow { line, reason } in chunk.bad {
            logged += 1;
            if logged <= MAX_LOGGED_BAD_ROWS {
                ledger.log(job.id, format!("metadata file, line {line}: {reason}")).await?;
            }
        }
        let (id, bucket) = (job.id, job.spec.bucket.clone());
        ledger.write(move |tx| metadata::put(tx, id, &bucket, &chunk.rows)).await?;
    }
    match parsing.await {
        Ok(Ok(tally)) => Ok(tally),
        Ok(Err(file)) => Err(MetadataError::File(uri.clone(), file)),
        Err(panic) => {
            tracing::error!(job.id = %job.id, %panic, "reading the metadata file panicked");
            Err(MetadataError::Panicked(uri.clone()))
        }
    }
}

#[derive(Default)]
struct Chunk {
    rows: Vec<MetadataRow>,
    /// The first bad rows of the file.
    bad: Vec<BadRow>,
}

/// Parses a file and sends its rows in chunks. Ends early if the receiver is closed.
fn parse(kind: FileKind, bytes: &[u8], prefix: &str, chunks: &mpsc::Sender<Chunk>) -> Result<Tally, BadFile> {
    let prefix_nfd = nfd(prefix);
    let mut tally = Tally::default();
    let mut chunk = Chunk::default();
    kind.read(bytes, &mut |row| {
        match row {
            Ok(row) if row.key.starts_with(prefix) || nfd(&row.key).starts_with(&*prefix_nfd) => {
                tally.kept += 1;
                chunk.rows.push(row);
            }
            Ok(_) => tally.outside += 1,
            Err(bad) => {
                tally.bad += 1;
                if tally.bad <= MAX_LOGGED_BAD_ROWS {
                    chunk.bad.push(bad);
                }
            }
        }
        chunk.rows.len() < CHUNK_ROWS || chunks.blocking_send(std::mem::take(&mut chunk)).is_ok()
    })?;
    // The receiver is closed only if the job was stopped.
    drop(chunks.blocking_send(chunk));
    Ok(tally)
}
