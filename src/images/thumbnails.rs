//! Returns the thumbnail or a larger preview of an indexed image: the one that is stored, or one that is made from the
//! original on request.

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
use super::job_thumbnails::JobWrites;
use super::objects::Objects;
use super::preview_side::PreviewSide;
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
/// Maximum number of bytes of previews that are sent at the same time. A reply holds its share until it is sent.
const MAX_SENT_BYTES: u64 = 64 * MB;
/// How long one request waits for its permits.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The source of thumbnails. Clones share one cache and one memory budget.
#[derive(Clone)]
pub struct Thumbnails {
    objects: Objects,
    pub(super) cache: ThumbnailCache,
    limits: Limits,
    /// Limits the number of decodes to one per core.
    cores: Arc<Semaphore>,
    /// The budget for originals. To avoid a deadlock, a request first takes a permit of `files` (before it fetches the
    /// original) and then one of `pixels` (before it decodes), never in the other order.
    files: Arc<ByteBudget>,
    pixels: Arc<ByteBudget>,
    /// The budget for previews that are made or sent. It is taken first.
    sent: Arc<ByteBudget>,
    in_progress: InProgress,
    pub(super) job_writes: JobWrites,
}

impl std::fmt::Debug for Thumbnails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thumbnails").field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// A thumbnail or preview with its ETag.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    /// The bytes of the JPEG file.
    pub bytes: Bytes,
    /// The ETag, without quotes. It changes when the image changes.
    pub etag: String,
}

/// The facts of the record that are needed to make a thumbnail or preview.
struct ThumbnailSource {
    side: PreviewSide,
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
            sent: Arc::new(ByteBudget::new(MAX_SENT_BYTES)),
            in_progress: InProgress::default(),
            job_writes: JobWrites::default(),
        })
    }

    /// Returns the ETag of the thumbnail of this record, without making the thumbnail.
    pub fn etag(record: &ImageRecord) -> String {
        etag(&record.payload.content_sha256, PreviewSide::THUMBNAIL)
    }

    /// Returns the ETag of a preview of this record, without making the preview.
    pub fn preview_etag(record: &ImageRecord, side: PreviewSide) -> String {
        etag(&record.payload.content_sha256, side.for_image(&record.payload))
    }

    /// Returns the thumbnail of a record. Requests for the same thumbnail share the work.
    pub(super) async fn get(&self, record: &ImageRecord) -> Result<Thumbnail, ImagesError> {
        self.get_fitted(record, PreviewSide::THUMBNAIL).await
    }

    /// Returns the preview of a record. Requests for the same preview share the work.
    pub(super) async fn preview(&self, record: &ImageRecord, side: PreviewSide) -> Result<Thumbnail, ImagesError> {
        self.get_fitted(record, side.for_image(&record.payload)).await
    }

    async fn get_fitted(&self, record: &ImageRecord, side: PreviewSide) -> Result<Thumbnail, ImagesError> {
        let payload = &record.payload;
        let original = ThumbnailSource {
            side,
            uri: record.uri.clone(),
            thumbnail_key: payload.thumbnail_key.clone().filter(|_| side == PreviewSide::THUMBNAIL),
            size_bytes: payload.size_bytes,
            sha256: payload.content_sha256.clone(),
        };
        let key = format!("{}{} {}", original.sha256, side.suffix(), original.uri);
        let thumbnails = self.clone();
        let make = || async move {
            if side == PreviewSide::THUMBNAIL {
                return thumbnails.make(original, Instant::now() + PERMIT_TIMEOUT).await;
            }
            thumbnails.make_counted(original).await
        };
        self.in_progress.join_or_start(key, make)?.await
    }

    /// Makes a preview. Its bytes are counted until the last reply with them is sent.
    async fn make_counted(self, original: ThumbnailSource) -> Result<Thumbnail, ImagesError> {
        let (deadline, side) = (Instant::now() + PERMIT_TIMEOUT, u64::from(original.side.pixels()));
        // A JPEG of this quality has fewer bytes than pixels.
        let mut permit = wait_until(deadline, self.sent.take(side * side)).await?;
        let Thumbnail { bytes, etag } = self.make(original, deadline).await?;
        permit.keep(bytes.len() as u64);
        Ok(Thumbnail { bytes: Bytes::from_owner(CountedBytes { bytes, _permit: permit }), etag })
    }

    async fn make(self, original: ThumbnailSource, deadline: Instant) -> Result<Thumbnail, ImagesError> {
        let side = original.side;
        if let Some(key) = &original.thumbnail_key
            && let Some(bytes) = self.fetch_stored(&ImageUri::new(original.uri.bucket(), key), deadline).await?
        {
            return Ok(Thumbnail { bytes, etag: etag(&original.sha256, side) });
        }
        let (cache, wanted) = (self.cache.clone(), cache_file_name(&original.sha256, side));
        // If the cached file cannot be read, the thumbnail is made again.
        if let Ok(Some(bytes)) = tokio::task::spawn_blocking(move || cache.get(&wanted)).await {
            return Ok(Thumbnail { bytes, etag: etag(&original.sha256, side) });
        }
        let (file, bytes) = self.fetch(&original, deadline).await?;
        let cost = imaging::preview_size(&bytes, &self.limits, side.pixels()).map_err(ImagesError::Image)?;
        let pixels = wait_until(deadline, self.pixels.take(cost)).await?;
        let core = wait_until(deadline, self.cores.clone().acquire_owned()).await?;
        let (cache, limits) = (self.cache, self.limits);
        let made = tokio::task::spawn_blocking(move || {
            // A decoder cannot be interrupted: it keeps its permits until it ends, even if no request waits for it
            // any more.
            let _permits = (file, pixels, core);
            let thumbnail = imaging::preview(&bytes, &limits, side.pixels())?;
            let sha256 = hex::encode(Sha256::digest(&bytes));
            drop(bytes);
            if let Err(error) = cache.put(&cache_file_name(&sha256, side), &thumbnail) {
                tracing::warn!(%error, "a thumbnail could not be stored in the cache");
            }
            Ok((thumbnail, sha256))
        });
        let (bytes, sha256) = made.await.map_err(|_| ImagesError::Panicked)?.map_err(ImagesError::Image)?;
        // If the object has changed since it was indexed, this is the thumbnail of the current object.
        Ok(Thumbnail { bytes, etag: etag(&sha256, side) })
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

/// Returns the ETag of a thumbnail or preview.
fn etag(sha256: &str, side: PreviewSide) -> String {
    short_etag(sha256) + &side.suffix()
}

/// Returns the name of the cached file. It depends only on the content and the side, so copies of an image share one file.
pub(super) fn cache_file_name(sha256: &str, side: PreviewSide) -> String {
    format!("{sha256}{}.jpg", side.suffix())
}

/// Bytes of a reply, with their share of the budget.
struct CountedBytes {
    bytes: Bytes,
    _permit: BudgetPermit,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
