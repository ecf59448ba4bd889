//! The original of an indexed image, to be looked at. It is streamed: the bucket is read as fast as the client reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use sha2::{Digest, Sha256};

use super::ImagesError;
use super::objects::Objects;
use super::reader::Reader;
use super::stream;
use super::thumbnails::etag_of;
use crate::domain::{ImageFormat, ImageRecord};
use crate::imaging::{self, Limits};
use crate::pipeline::budget::{BudgetPermit, ByteBudget};
use crate::source::{ImageSource, Opened};

/// Bytes of originals that may be in memory at once.
const AT_ONCE: u64 = 128 * 1024 * 1024;
/// Bytes that one original has in memory at most while it is streamed.
const BUFFER: u64 = 512 * 1024;
/// How long one may wait for its share of them.
const WAIT: Duration = Duration::from_secs(5);

/// Originals, as they are in the bucket. Clones share it.
#[derive(Clone)]
pub struct Originals {
    objects: Objects,
    limits: Limits,
    room: Arc<ByteBudget>,
}

impl std::fmt::Debug for Originals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Originals").field("room", &self.room).finish_non_exhaustive()
    }
}

/// A file that is an image.
#[derive(Debug)]
pub struct Original {
    /// By its first bytes: whatever its key and its type in the bucket claim.
    pub format: ImageFormat,
    /// Changes when the file does; without quotes.
    pub etag: String,
    /// The size of the file, if the bucket says so.
    pub size_bytes: Option<u64>,
    content: Content,
    share: BudgetPermit,
}

#[derive(Debug)]
enum Content {
    /// A file that was compressed in the bucket.
    Whole(Bytes),
    Streamed(Box<Reader>),
}

impl Originals {
    /// The objects of `source`, which should answer rather than wait.
    pub fn new(source: Arc<dyn ImageSource>, limits: Limits) -> Self {
        let room = Arc::new(ByteBudget::new(AT_ONCE.max(limits.max_bytes)));
        Self { objects: Objects(source), limits, room }
    }

    /// What tells the original of this record from every other one, without reading it.
    pub fn etag(record: &ImageRecord) -> String {
        etag_of(&record.payload.content_sha256)
    }

    pub(super) async fn of(&self, record: &ImageRecord) -> Result<Original, ImagesError> {
        let mut share = self.take(BUFFER).await?;
        let opened = self.objects.open(&record.uri, None).await?;
        if opened.is_encoded {
            drop((opened, share));
            return self.whole(record).await;
        }
        let (etag, size_bytes) = (etag(record, &opened), opened.size_bytes);
        share.keep(size_bytes.unwrap_or(BUFFER).min(BUFFER));
        let mut reader = Reader::new(self.objects.clone(), record.uri.clone(), opened);
        // A record says that it was an image once.
        let format = imaging::sniff(&reader.head().await?).map_err(ImagesError::Image)?;
        Ok(Original { format, etag, size_bytes, content: Content::Streamed(Box::new(reader)), share })
    }

    /// An object that must be decompressed.
    async fn whole(&self, record: &ImageRecord) -> Result<Original, ImagesError> {
        let mut share = self.take(self.limits.max_bytes).await?;
        let bytes = self.objects.fetch(&record.uri, self.limits.max_bytes).await?.ok_or(ImagesError::Refused)?;
        share.keep(bytes.len() as u64);
        let format = imaging::sniff(&bytes).map_err(ImagesError::Image)?;
        let digested = bytes.clone();
        let digest = tokio::task::spawn_blocking(move || hex::encode(Sha256::digest(&digested))).await;
        let etag = etag_of(&digest.map_err(|_| ImagesError::Panicked)?);
        Ok(Original { format, etag, size_bytes: Some(bytes.len() as u64), content: Content::Whole(bytes), share })
    }

    async fn take(&self, bytes: u64) -> Result<BudgetPermit, ImagesError> {
        tokio::time::timeout(WAIT, self.room.take(bytes)).await.map_err(|_| ImagesError::Busy)
    }
}

impl Original {
    /// The bytes of the file, or those of a range of it: the first and the last. The stream fails if the bucket does, or if
    /// the client stands still.
    ///
    /// # Errors
    /// [`ImagesError`] if the bucket does not hand out that range.
    pub async fn into_stream(
        self,
        range: Option<(u64, u64)>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, ImagesError> {
        match self.content {
            Content::Whole(bytes) => {
                let at = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX).min(bytes.len());
                let bytes = range.map_or_else(|| bytes.clone(), |(from, to)| bytes.slice(at(from)..at(to + 1)));
                Ok(stream::of(Reader::of_bytes(bytes), self.share).boxed())
            }
            Content::Streamed(mut reader) => {
                if let Some((from, to)) = range {
                    reader.seek(from, to + 1).await?;
                }
                Ok(stream::of(*reader, self.share).boxed())
            }
        }
    }
}

/// The record's own, if the object is still the one that was indexed.
fn etag(record: &ImageRecord, opened: &Opened) -> String {
    let payload = &record.payload;
    let same = opened.etag.is_some() && opened.etag == payload.etag && opened.size_bytes == Some(payload.size_bytes);
    if same {
        return Originals::etag(record);
    }
    let modified = opened.modified.map(crate::domain::Timestamp::unix_micros);
    let facts = format!("{:?} {modified:?} {:?}", opened.etag, opened.size_bytes);
    etag_of(&hex::encode(Sha256::digest(facts)))
}
