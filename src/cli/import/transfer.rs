//! Sends the rows of files to the service, in batches.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64_simd::STANDARD;
use indicatif::ProgressBar;
use tokio::time::Instant;

use super::Report;
use super::files::{Images, problem};
use crate::api::replies::{ImportImageRequest, ImportReply, ImportRequest};
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::exchange::{ExchangeError, FileHeader, FileImage};

/// Images of a batch.
const MAX_IMAGES: usize = 250;
/// Estimated bytes of a batch, which is at most half of what the service accepts.
const MAX_BYTES: usize = 2 << 20;
/// Rows that are read without a request, after which an interrupt is noticed.
const MAX_ROWS: u64 = 10_000;
/// How long a batch is sent again while the service is busy.
const RETRY_WINDOW: Duration = Duration::from_mins(1);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// An import on its way to the service.
pub(super) struct Transfer<'a> {
    client: &'a Client,
    model_matches: bool,
    bar: ProgressBar,
    /// Rows at the begin that are not imported.
    skip: u64,
    /// Rows that were read, of all files.
    read: u64,
    /// Rows before the batch that is being made: each is imported, has failed, or was skipped.
    done: u64,
    /// The header of the last file whose vectors have a known size.
    header: FileHeader,
    pub(super) report: Report,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(client: &'a Client, model_matches: bool, skip: u64, report: Report, bar: ProgressBar) -> Self {
        Self { client, model_matches, bar, skip, read: 0, done: 0, header: FileHeader::default(), report }
    }

    /// Returns the number of rows after which the import can go on.
    pub(super) fn done(&self) -> u64 {
        self.done.max(self.skip)
    }

    /// Sends all files.
    pub(super) async fn send_all(&mut self, files: Vec<(PathBuf, Images)>) -> Result<(), CliError> {
        let count = files.len();
        for (at, (path, images)) in files.into_iter().enumerate() {
            self.send_file(&path, images, at + 1 == count).await?;
        }
        Ok(())
    }

    async fn send_file(&mut self, path: &Path, mut images: Images, is_last: bool) -> Result<(), CliError> {
        if images.header().dimension > 0 {
            self.header = images.header().clone();
        }
        let (mut batch, mut bytes) = (self.empty_batch(), 0);
        loop {
            let row = images.next();
            let is_end = row.is_none();
            if let Some(row) = row
                && let Some(image) = self.accept(path, row)?
            {
                bytes += image.vector.len() * 6 + 512 + image.uri.len();
                bytes += image.payload.as_ref().map_or(0, |payload| payload.get().len());
                batch.images.push(request(image));
            }
            let is_full = batch.images.len() >= MAX_IMAGES || bytes >= MAX_BYTES;
            if is_end || is_full || self.read - self.done >= MAX_ROWS {
                batch.last = is_end && is_last;
                // Without the size of a vector, no file has a row that can be imported.
                if !batch.images.is_empty() || (batch.last && batch.dimension > 0) {
                    self.send(&batch).await?;
                } else {
                    tokio::task::yield_now().await;
                }
                self.done = self.read;
                self.bar.set_position(self.done);
                (batch, bytes) = (self.empty_batch(), 0);
            }
            if is_end {
                return Ok(());
            }
        }
    }

    /// Returns the image of a row that is not skipped. A wrong one is a failure of this row alone.
    fn accept(&mut self, path: &Path, row: Result<FileImage, ExchangeError>) -> Result<Option<FileImage>, CliError> {
        let row = row.and_then(|image| match problem(&image) {
            Some(problem) => Err(ExchangeError::Row { path: path.to_owned(), row: image.row, problem }),
            None => Ok(image),
        });
        let accepted = match row {
            Ok(image) => Ok(image),
            Err(error @ ExchangeError::Row { .. }) => Err(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        self.read += 1;
        if self.read <= self.skip {
            return Ok(None);
        }
        match accepted {
            Ok(image) => Ok(Some(image)),
            Err(failure) => {
                self.bar.suspend(|| self.report.add_failure(failure));
                Ok(None)
            }
        }
    }

    fn empty_batch(&self) -> ImportRequest {
        let FileHeader { dimension, space, .. } = self.header.clone();
        ImportRequest { dimension, space, model_matches: self.model_matches, images: Vec::new(), last: false }
    }

    /// Sends a batch, again while the service is busy.
    async fn send(&mut self, batch: &ImportRequest) -> Result<(), CliError> {
        let until = Instant::now() + RETRY_WINDOW;
        let reply: ImportReply = loop {
            match self.client.post(&["collections", &self.report.collection, "import"], batch).await {
                Err(error) if error.is_temporary() && Instant::now() < until => {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                reply => break reply?.read()?,
            }
        };
        self.report.imported += reply.imported;
        let failures = reply.failures.into_iter();
        let failures = failures.map(|failure| format!("{}: {} ({})", failure.s3_uri, failure.message, failure.class));
        self.bar.suspend(|| failures.for_each(|failure| self.report.add_failure(failure)));
        Ok(())
    }
}

fn request(image: FileImage) -> ImportImageRequest {
    let bytes: Vec<u8> = image.vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let vector = STANDARD.encode_to_string(bytes);
    ImportImageRequest { s3_uri: image.uri, vector, payload: image.payload, meta: image.meta }
}
