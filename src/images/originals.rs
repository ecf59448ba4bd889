//! The original of an indexed image, to be looked at.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::ImagesError;
use super::objects::Objects;
use super::thumbnails::etag_of;
use crate::domain::{ImageFormat, ImageRecord};
use crate::imaging::{self, Limits};
use crate::pipeline::budget::{Purse, Taken};
use crate::source::ImageSource;

/// Bytes of originals that may be on their way out at once; one alone may have as many as a picture may.
const AT_ONCE: u64 = 128 * 1024 * 1024;
/// How long one may wait for its share of them.
const WAIT: Duration = Duration::from_secs(5);

/// Originals, as they are in the bucket. Clones share it.
#[derive(Clone)]
pub struct Originals {
    objects: Objects,
    limits: Limits,
    room: Arc<Purse>,
}

impl std::fmt::Debug for Originals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Originals").field("room", &self.room).finish_non_exhaustive()
    }
}

/// A file that is a picture.
#[derive(Clone, Debug)]
pub struct Original {
    /// Its bytes. Their share of the room is given back when the last of them is dropped.
    pub bytes: Bytes,
    /// By its first bytes: whatever its key and its type in the bucket claim.
    pub format: ImageFormat,
    /// Changes when the file does; without quotes.
    pub etag: String,
}

/// Bytes with their share of the room.
struct Held {
    bytes: Bytes,
    _share: Taken,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Originals {
    /// The objects of `source`, which should answer rather than wait.
    pub fn new(source: Arc<dyn ImageSource>, limits: Limits) -> Self {
        let room = Arc::new(Purse::new(AT_ONCE.max(limits.max_bytes)));
        let objects = Objects { source, max_bytes: limits.max_bytes };
        Self { objects, limits, room }
    }

    /// What tells the original of this record from every other one, without reading it.
    pub fn etag(record: &ImageRecord) -> String {
        etag_of(&record.payload.content_sha256)
    }

    pub(super) async fn of(&self, record: &ImageRecord) -> Result<Original, ImagesError> {
        // It may have grown since it was indexed.
        let waited = tokio::time::timeout(WAIT, self.room.take(self.limits.max_bytes)).await;
        let mut share = waited.map_err(|_| ImagesError::Busy)?;
        let bytes = self.objects.fetch(&record.uri).await?;
        share.keep(bytes.len() as u64);
        // A record says that it was a picture once.
        let format = imaging::sniff(&bytes).map_err(ImagesError::Image)?;
        let digested = bytes.clone();
        let digest = tokio::task::spawn_blocking(move || hex::encode(Sha256::digest(&digested))).await;
        let etag = etag_of(&digest.map_err(|_| ImagesError::Panicked)?);
        Ok(Original { bytes: Bytes::from_owner(Held { bytes, _share: share }), format, etag })
    }
}
