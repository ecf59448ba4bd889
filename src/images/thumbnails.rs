//! The thumbnail of an indexed image: the one that the pipeline wrote, or one made from the original when it is asked for.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::ImagesError;
use super::cache::Cache;
use super::objects::Objects;
use crate::domain::{ImageRecord, ImageUri};
use crate::imaging::{self, Limits};
use crate::source::ImageSource;

/// Where thumbnails come from. Clones share it.
#[derive(Clone)]
pub struct Thumbnails {
    objects: Objects,
    cache: Cache,
    limits: Limits,
    /// One decode a core, whatever a page with a hundred hits asks for at once.
    cores: Arc<Semaphore>,
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
    /// Changes when the picture does; without quotes.
    pub etag: String,
}

impl Thumbnails {
    /// Thumbnails of the objects of `source`, which should answer rather than wait; at most `most_bytes` are kept in
    /// `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be used.
    pub fn open(source: Arc<dyn ImageSource>, folder: &Path, most_bytes: u64, limits: Limits) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let cache = Cache::open(folder, most_bytes)?;
        let objects = Objects { source, max_bytes: limits.max_bytes };
        Ok(Self { objects, cache, limits, cores: Arc::new(Semaphore::new(cores)) })
    }

    /// What tells the thumbnail of this record from every other one, without making it.
    pub fn etag(record: &ImageRecord) -> String {
        etag_of(&record.payload.content_sha256)
    }

    pub(super) async fn of(&self, record: &ImageRecord) -> Result<Thumbnail, ImagesError> {
        let etag = Self::etag(record);
        let stored = record.payload.thumbnail_key.as_ref();
        if let Some(key) = stored
            && let Ok(bytes) = self.objects.fetch(&ImageUri::new(record.uri.bucket(), key)).await
        {
            return Ok(Thumbnail { bytes, etag });
        }
        let (cache, wanted) = (self.cache.clone(), file_name(&record.payload.content_sha256));
        // A file that cannot be read is made again.
        if let Ok(Some(bytes)) = tokio::task::spawn_blocking(move || cache.get(&wanted)).await {
            return Ok(Thumbnail { bytes, etag });
        }
        let original = self.objects.fetch(&record.uri).await?;
        let core = self.cores.clone().acquire_owned().await;
        let (cache, limits) = (self.cache.clone(), self.limits);
        let made = tokio::task::spawn_blocking(move || {
            let _core = core;
            let bytes = imaging::thumbnail(&original, &limits)?;
            let sha256 = hex::encode(Sha256::digest(&original));
            if let Err(error) = cache.put(&file_name(&sha256), &bytes) {
                tracing::warn!(%error, "a thumbnail could not be kept");
            }
            Ok((bytes, sha256))
        });
        let (bytes, sha256) = made.await.map_err(|_| ImagesError::Panicked)?.map_err(ImagesError::Image)?;
        // The object may have changed since it was indexed: then this is the thumbnail of what it is now.
        Ok(Thumbnail { bytes, etag: etag_of(&sha256) })
    }
}

/// Half of the digest tells pictures apart as well as all of it.
pub(super) fn etag_of(sha256: &str) -> String {
    sha256.chars().take(32).collect()
}

/// By content, so that copies of a picture share one file.
fn file_name(sha256: &str) -> String {
    format!("{sha256}.jpg")
}
