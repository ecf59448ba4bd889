//! Sends the original file of an indexed image. It is streamed: the bucket is read as fast as the client reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use sha2::{Digest, Sha256};

use super::ImagesError;
use super::objects::{Objects, is_page};
use super::reader::Reader;
use super::stream;
use super::thumbnails::short_etag;
use crate::domain::{ImageFormat, ImageRecord};
use crate::imaging::{self, Limits};
use crate::pipeline::budget::{BudgetPermit, ByteBudget};
use crate::source::{ImageSource, Opened};

/// Maximum number of bytes of originals in memory at the same time.
const MAX_BUFFERED_BYTES: u64 = 128 * 1024 * 1024;
/// Maximum number of bytes of one original in memory while it is streamed.
const STREAM_BUFFER_BYTES: u64 = 512 * 1024;
/// How long a request waits for its permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The originals in the bucket. Clones share one memory budget.
#[derive(Clone)]
pub struct Originals {
    objects: Objects,
    limits: Limits,
    budget: Arc<ByteBudget>,
}

impl std::fmt::Debug for Originals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Originals").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// An opened file that is an image.
#[derive(Debug)]
pub struct Original {
    /// The format by its first bytes, because its key and its content type can be wrong.
    pub format: ImageFormat,
    /// The ETag, without quotes. It changes when the file changes.
    pub etag: String,
    /// The size of the file in bytes, if the bucket reports it.
    pub size_bytes: Option<u64>,
    content: Content,
    permit: BudgetPermit,
}

#[derive(Debug)]
enum Content {
    /// The decompressed bytes of a file that is compressed in the bucket.
    Whole(Bytes),
    Streamed(Box<Reader>),
}

impl Originals {
    /// Reads the objects of `source`. The source should fail fast instead of waiting for a long time.
    pub fn new(source: Arc<dyn ImageSource>, limits: Limits) -> Self {
        let budget = Arc::new(ByteBudget::new(MAX_BUFFERED_BYTES.max(limits.max_bytes)));
        Self { objects: Objects(source), limits, budget }
    }

    /// Returns the ETag of the original of this record, without reading the object.
    pub fn etag(record: &ImageRecord) -> String {
        short_etag(&record.payload.content_sha256)
    }

    pub(super) async fn open(&self, record: &ImageRecord) -> Result<Original, ImagesError> {
        let mut permit = self.acquire_permit(STREAM_BUFFER_BYTES).await?;
        let opened = self.objects.open(&record.uri, None).await?;
        if opened.is_encoded {
            drop((opened, permit));
            return self.read_decompressed(record).await;
        }
        let (etag, size_bytes) = (current_etag(record, &opened), opened.size_bytes);
        permit.keep(size_bytes.unwrap_or(STREAM_BUFFER_BYTES).min(STREAM_BUFFER_BYTES));
        let (version, content_type) = (opened.etag.clone(), opened.content_type.clone());
        let mut reader = Reader::new(self.objects.clone(), record.uri.clone(), opened);
        // The record only shows that the object was an image when it was indexed.
        let head = reader.head().await?;
        if is_page(&record.uri, &head, version.as_deref(), content_type.as_deref()) {
            return Err(ImagesError::Refused);
        }
        let format = match imaging::sniff(&head).map_err(ImagesError::Image)? {
            // The directories by which both differ can be behind the head.
            ImageFormat::Tiff if record.payload.format == ImageFormat::Raw => ImageFormat::Raw,
            format => format,
        };
        Ok(Original { format, etag, size_bytes, content: Content::Streamed(Box::new(reader)), permit })
    }

    /// Returns the bytes of an object, decompressed, or `None` if there are more than `limit`. The caller bounds the memory.
    pub(super) async fn read(&self, record: &ImageRecord, limit: u64) -> Result<Option<Bytes>, ImagesError> {
        self.objects.fetch(&record.uri, limit).await
    }

    /// Reads an object that must be decompressed.
    async fn read_decompressed(&self, record: &ImageRecord) -> Result<Original, ImagesError> {
        let mut permit = self.acquire_permit(self.limits.max_bytes).await?;
        let (uri, limit) = (&record.uri, self.limits.max_bytes);
        let bytes = self.objects.fetch(uri, limit).await?.ok_or_else(|| ImagesError::too_large(uri, limit))?;
        permit.keep(bytes.len() as u64);
        let format = imaging::sniff(&bytes).map_err(ImagesError::Image)?;
        let hashed_bytes = bytes.clone();
        let digest = tokio::task::spawn_blocking(move || hex::encode(Sha256::digest(&hashed_bytes))).await;
        let etag = short_etag(&digest.map_err(|_| ImagesError::Panicked)?);
        Ok(Original { format, etag, size_bytes: Some(bytes.len() as u64), content: Content::Whole(bytes), permit })
    }

    async fn acquire_permit(&self, bytes: u64) -> Result<BudgetPermit, ImagesError> {
        tokio::time::timeout(PERMIT_TIMEOUT, self.budget.take(bytes)).await.map_err(|_| ImagesError::Busy)
    }
}

impl Original {
    /// Returns the bytes of the file, or of a range of it, given by its first and its last byte. The stream fails if
    /// the bucket fails, or if the client stops reading.
    ///
    /// # Errors
    /// Returns an [`ImagesError`] if the range cannot be read from the bucket.
    pub async fn into_stream(
        self,
        range: Option<(u64, u64)>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, ImagesError> {
        match self.content {
            Content::Whole(bytes) => {
                let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(bytes.len());
                let bytes = range.map_or_else(|| bytes.clone(), |(from, to)| bytes.slice(at(from)..at(to + 1)));
                Ok(stream::file_stream(Reader::from_bytes(bytes), self.permit).boxed())
            }
            Content::Streamed(mut reader) => {
                if let Some((from, to)) = range {
                    reader.seek(from, to + 1).await?;
                }
                Ok(stream::file_stream(*reader, self.permit).boxed())
            }
        }
    }
}

/// Returns the ETag of the record if the object is unchanged since it was indexed, or else one of the object's own
/// facts.
fn current_etag(record: &ImageRecord, opened: &Opened) -> String {
    let payload = &record.payload;
    let is_unchanged =
        opened.etag.is_some() && opened.etag == payload.etag && opened.size_bytes == Some(payload.size_bytes);
    if is_unchanged {
        return Originals::etag(record);
    }
    let modified = opened.modified.map(crate::domain::Timestamp::unix_micros);
    let facts = format!("{:?} {modified:?} {:?}", opened.etag, opened.size_bytes);
    short_etag(&hex::encode(Sha256::digest(facts)))
}
