//! The thumbnail of an indexed image: the one that the pipeline wrote, or one made from the original when it is asked for.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::ImagesError;
use super::cache::Cache;
use super::flights::Flights;
use super::objects::Objects;
use crate::domain::{ImageFormat, ImageRecord, ImageUri};
use crate::imaging::{self, Limits};
use crate::pipeline::budget::{BudgetPermit, ByteBudget};
use crate::source::ImageSource;

const MB: u64 = 1024 * 1024;
/// Bytes of originals that may be in memory at once for thumbnails. A larger original is read alone.
const FILES: u64 = 52 * MB;
/// Bytes that decoding may take at once for thumbnails. A larger image is decoded alone.
const PIXELS: u64 = 64 * MB;
/// Bytes of a thumbnail that the pipeline wrote: 256 x 256 pixels have no more.
const MAX_STORED: u64 = MB;
/// How long one thumbnail may wait for its turn.
const WAIT: Duration = Duration::from_secs(30);

/// Where thumbnails come from. Clones share it.
#[derive(Clone)]
pub struct Thumbnails {
    objects: Objects,
    cache: Cache,
    limits: Limits,
    /// One decode a core.
    cores: Arc<Semaphore>,
    /// BudgetPermit before an original is fetched, and then `pixels` before it is decoded: never in the other order.
    files: Arc<ByteBudget>,
    pixels: Arc<ByteBudget>,
    flights: Flights,
}

impl std::fmt::Debug for Thumbnails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thumbnails").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// A JPEG and what tells it from every other one.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    /// A JPEG.
    pub bytes: Bytes,
    /// Changes when the image does; without quotes.
    pub etag: String,
}

/// What a thumbnail is made from.
struct Original {
    uri: ImageUri,
    thumbnail_key: Option<String>,
    size_bytes: u64,
    sha256: String,
}

impl Thumbnails {
    /// Thumbnails of the objects of `source`, which should answer rather than wait; at most `max_bytes` are kept in
    /// `folder`.
    ///
    /// # Errors
    /// Fails if the folder cannot be used.
    pub fn open(source: Arc<dyn ImageSource>, folder: &Path, max_bytes: u64, limits: Limits) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let cache = Cache::open(folder, max_bytes)?;
        Ok(Self {
            objects: Objects(source),
            cache,
            limits,
            cores: Arc::new(Semaphore::new(cores)),
            files: Arc::new(ByteBudget::new(FILES)),
            pixels: Arc::new(ByteBudget::new(PIXELS)),
            flights: Flights::default(),
        })
    }

    /// What tells the thumbnail of this record from every other one, without making it.
    pub fn etag(record: &ImageRecord) -> String {
        etag_of(&record.payload.content_sha256)
    }

    /// The thumbnail of a record. Requests for one thumbnail share the work.
    pub(super) async fn of(&self, record: &ImageRecord) -> Result<Thumbnail, ImagesError> {
        let payload = &record.payload;
        let original = Original {
            uri: record.uri.clone(),
            thumbnail_key: payload.thumbnail_key.clone(),
            size_bytes: payload.size_bytes,
            sha256: payload.content_sha256.clone(),
        };
        let key = format!("{} {}", original.sha256, original.uri);
        let thumbnails = self.clone();
        self.flights.join(key, || async move { thumbnails.make(original).await })?.await
    }

    async fn make(self, original: Original) -> Result<Thumbnail, ImagesError> {
        let until = Instant::now() + WAIT;
        let etag = etag_of(&original.sha256);
        if let Some(key) = &original.thumbnail_key
            && let Some(bytes) = self.stored(&ImageUri::new(original.uri.bucket(), key), until).await?
        {
            return Ok(Thumbnail { bytes, etag });
        }
        let (cache, wanted) = (self.cache.clone(), file_name(&original.sha256));
        // A file that cannot be read is made again.
        if let Ok(Some(bytes)) = tokio::task::spawn_blocking(move || cache.get(&wanted)).await {
            return Ok(Thumbnail { bytes, etag });
        }
        let (file, bytes) = self.fetch(&original, until).await?;
        let cost = imaging::decoded_size(&bytes, &self.limits).map_err(ImagesError::Image)?;
        let pixels = in_time(until, self.pixels.take(cost)).await?;
        let core = in_time(until, self.cores.clone().acquire_owned()).await?;
        let (cache, limits) = (self.cache, self.limits);
        let made = tokio::task::spawn_blocking(move || {
            // A decoder cannot be interrupted: it has its shares until it ends, also if nobody waits for it any more.
            let _shares = (file, pixels, core);
            let small = imaging::thumbnail(&bytes, &limits)?;
            let sha256 = hex::encode(Sha256::digest(&bytes));
            drop(bytes);
            if let Err(error) = cache.put(&file_name(&sha256), &small) {
                tracing::warn!(%error, "a thumbnail could not be kept");
            }
            Ok((small, sha256))
        });
        let (bytes, sha256) = made.await.map_err(|_| ImagesError::Panicked)?.map_err(ImagesError::Image)?;
        // The object may have changed since it was indexed: then this is the thumbnail of what it is now.
        Ok(Thumbnail { bytes, etag: etag_of(&sha256) })
    }

    /// The thumbnail that the pipeline wrote, if it is there and is a JPEG.
    async fn stored(&self, uri: &ImageUri, until: Instant) -> Result<Option<Bytes>, ImagesError> {
        let _share = in_time(until, self.files.take(MAX_STORED)).await?;
        let fetched = self.objects.fetch(uri, MAX_STORED).await.ok().flatten();
        Ok(fetched.filter(|bytes| matches!(imaging::sniff(bytes), Ok(ImageFormat::Jpeg))))
    }

    /// The bytes of an object, with their share. The share is taken first, for the size that the object had when it was
    /// indexed; if it has grown, for the largest size that is allowed.
    async fn fetch(&self, original: &Original, until: Instant) -> Result<(BudgetPermit, Bytes), ImagesError> {
        for limit in [original.size_bytes.clamp(1, self.limits.max_bytes), self.limits.max_bytes] {
            let mut share = in_time(until, self.files.take(limit)).await?;
            if let Some(bytes) = self.objects.fetch(&original.uri, limit).await? {
                share.keep(bytes.len() as u64);
                return Ok((share, bytes));
            }
        }
        tracing::warn!(image.uri = %original.uri, limit = self.limits.max_bytes, "larger than IMAGE_MAX_SIZE_MB allows");
        Err(ImagesError::Refused)
    }
}

/// Waits for a share, but not for ever.
async fn in_time<T>(until: Instant, share: impl Future<Output = T>) -> Result<T, ImagesError> {
    timeout_at(until, share).await.map_err(|_| ImagesError::Busy)
}

/// Half of the digest tells images apart as well as all of it.
pub(super) fn etag_of(sha256: &str) -> String {
    sha256.chars().take(32).collect()
}

/// By content, so that copies of an image share one file.
fn file_name(sha256: &str) -> String {
    format!("{sha256}.jpg")
}
