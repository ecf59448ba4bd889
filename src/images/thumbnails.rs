//! Returns the thumbnail of an indexed image: the one that the pipeline wrote, or one that is made from the original on
//! request.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::ImagesError;
use super::in_progress::InProgress;
use super::objects::Objects;
use super::thumbnail_cache::ThumbnailCache;
use crate::domain::{ImageFormat, ImageRecord, ImageUri};
use crate::imaging::{self, Limits};
use crate::pipeline::budget::{BudgetPermit, ByteBudget};
use crate::resilience::cores;
use crate::source::ImageSource;

const MB: u64 = 1024 * 1024;
/// Maximum number of bytes of originals in memory at the same time for thumbnails. A larger original is read alone.
const MAX_ORIGINAL_BYTES: u64 = 52 * MB;
/// Maximum number of bytes that decoding can use at the same time for thumbnails. A larger image is decoded alone.
const MAX_DECODE_BYTES: u64 = 64 * MB;
/// Maximum size in bytes of a thumbnail that the pipeline wrote. 256 x 256 pixels do not need more.
const MAX_STORED_BYTES: u64 = MB;
/// How long one request waits for its permits.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The source of thumbnails. Clones share one cache and one memory budget.
#[derive(Clone)]
pub struct Thumbnails {
    objects: Objects,
    cache: ThumbnailCache,
    limits: Limits,
    /// Limits the number of decodes to one per core.
    cores: Arc<Semaphore>,
    /// The budget for originals. To avoid a deadlock, a request first takes a permit of `files` (before it fetches the
    /// original) and then one of `pixels` (before it decodes), never in the other order.
    files: Arc<ByteBudget>,
    pixels: Arc<ByteBudget>,
    in_progress: InProgress,
}

impl std::fmt::Debug for Thumbnails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thumbnails").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// A thumbnail with its ETag.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    /// The bytes of the JPEG file.
    pub bytes: Bytes,
    /// The ETag, without quotes. It changes when the image changes.
    pub etag: String,
}

/// The facts of the record that are needed to make a thumbnail.
struct ThumbnailSource {
    uri: ImageUri,
    thumbnail_key: Option<String>,
    size_bytes: u64,
    sha256: String,
}

impl Thumbnails {
    /// Opens the thumbnails of the objects of `source`. The source should fail fast instead of waiting for a long time.
    /// The cache in `folder` holds at most `max_bytes` bytes.
    ///
    /// # Errors
    /// Fails if the folder cannot be used.
    pub fn open(source: Arc<dyn ImageSource>, folder: &Path, max_bytes: u64, limits: Limits) -> io::Result<Self> {
        let cache = ThumbnailCache::open(folder, max_bytes)?;
        Ok(Self {
            objects: Objects(source),
            cache,
            limits,
            cores: Arc::new(Semaphore::new(cores().get())),
            files: Arc::new(ByteBudget::new(MAX_ORIGINAL_BYTES)),
            pixels: Arc::new(ByteBudget::new(MAX_DECODE_BYTES)),
            in_progress: InProgress::default(),
        })
    }

    /// Returns the ETag of the thumbnail of this record, without making the thumbnail.
    pub fn etag(record: &ImageRecord) -> String {
        short_etag(&record.payload.content_sha256)
    }

    /// Returns the thumbnail of a record. Requests for the same thumbnail share the work.
    pub(super) async fn get(&self, record: &ImageRecord) -> Result<Thumbnail, ImagesError> {
        let payload = &record.payload;
        let original = ThumbnailSource {
            uri: record.uri.clone(),
            thumbnail_key: payload.thumbnail_key.clone(),
            size_bytes: payload.size_bytes,
            sha256: payload.content_sha256.clone(),
        };
        let key = format!("{} {}", original.sha256, original.uri);
        let thumbnails = self.clone();
        self.in_progress.join_or_start(key, || async move { thumbnails.make(original).await })?.await
    }

    async fn make(self, original: ThumbnailSource) -> Result<Thumbnail, ImagesError> {
        let deadline = Instant::now() + PERMIT_TIMEOUT;
        let etag = short_etag(&original.sha256);
        if let Some(key) = &original.thumbnail_key
            && let Some(bytes) = self.fetch_stored(&ImageUri::new(original.uri.bucket(), key), deadline).await?
        {
            return Ok(Thumbnail { bytes, etag });
        }
        let (cache, wanted) = (self.cache.clone(), cache_file_name(&original.sha256));
        // If the cached file cannot be read, the thumbnail is made again.
        if let Ok(Some(bytes)) = tokio::task::spawn_blocking(move || cache.get(&wanted)).await {
            return Ok(Thumbnail { bytes, etag });
        }
        let (file, bytes) = self.fetch(&original, deadline).await?;
        let cost = imaging::decoded_size(&bytes, &self.limits).map_err(ImagesError::Image)?;
        let pixels = wait_until(deadline, self.pixels.take(cost)).await?;
        let core = wait_until(deadline, self.cores.clone().acquire_owned()).await?;
        let (cache, limits) = (self.cache, self.limits);
        let made = tokio::task::spawn_blocking(move || {
            // A decoder cannot be interrupted: it keeps its permits until it ends, even if no request waits for it
            // any more.
            let _permits = (file, pixels, core);
            let thumbnail = imaging::thumbnail(&bytes, &limits)?;
            let sha256 = hex::encode(Sha256::digest(&bytes));
            drop(bytes);
            if let Err(error) = cache.put(&cache_file_name(&sha256), &thumbnail) {
                tracing::warn!(%error, "a thumbnail could not be stored in the cache");
            }
            Ok((thumbnail, sha256))
        });
        let (bytes, sha256) = made.await.map_err(|_| ImagesError::Panicked)?.map_err(ImagesError::Image)?;
        // If the object has changed since it was indexed, this is the thumbnail of the current object.
        Ok(Thumbnail { bytes, etag: short_etag(&sha256) })
    }

    /// Returns the thumbnail that the pipeline wrote, if it exists and is a JPEG.
    async fn fetch_stored(&self, uri: &ImageUri, deadline: Instant) -> Result<Option<Bytes>, ImagesError> {
        let _permit = wait_until(deadline, self.files.take(MAX_STORED_BYTES)).await?;
        let fetched = self.objects.fetch(uri, MAX_STORED_BYTES).await.ok().flatten();
        Ok(fetched.filter(|bytes| matches!(imaging::sniff(bytes), Ok(ImageFormat::Jpeg))))
    }

    /// Returns the bytes of an object and their permit. The permit is taken first, for the size that the object had
    /// when it was indexed. If the object is larger now, a permit for the maximum size is taken.
    async fn fetch(&self, original: &ThumbnailSource, deadline: Instant) -> Result<(BudgetPermit, Bytes), ImagesError> {
        for limit in [original.size_bytes.clamp(1, self.limits.max_bytes), self.limits.max_bytes] {
            let mut permit = wait_until(deadline, self.files.take(limit)).await?;
            if let Some(bytes) = self.objects.fetch(&original.uri, limit).await? {
                permit.keep(bytes.len() as u64);
                return Ok((permit, bytes));
            }
        }
        Err(ImagesError::too_large(&original.uri, self.limits.max_bytes))
    }
}

/// Waits for a permit until the deadline.
async fn wait_until<T>(deadline: Instant, permit: impl Future<Output = T>) -> Result<T, ImagesError> {
    timeout_at(deadline, permit).await.map_err(|_| ImagesError::Busy)
}

/// Returns the ETag: half of the digest is sufficient to distinguish images.
pub(super) fn short_etag(sha256: &str) -> String {
    sha256.chars().take(32).collect()
}

/// Returns the name of the cached file. It depends only on the content, so copies of an image share one file.
fn cache_file_name(sha256: &str) -> String {
    format!("{sha256}.jpg")
}
