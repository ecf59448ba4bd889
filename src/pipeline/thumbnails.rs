//! Stores the thumbnails that are made from the pixels of the chain: in the bucket, or in a store of this process.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::ready::Ready;
use super::steps::Steps;
use crate::domain::{ImageRecord, ImageUri};
use crate::source::NewObject;

/// Keeps thumbnails outside of the bucket.
#[async_trait]
pub trait ThumbnailStore: Send + Sync {
    /// Keeps the thumbnail of the file with this SHA-256 (hexadecimal). Returns in bounded time, also if the thumbnail could
    /// not be kept.
    async fn keep(&self, sha256: &str, jpeg: Bytes);
}

/// Where the chain puts thumbnails.
#[derive(Clone)]
pub(super) enum ThumbnailTarget {
    /// No thumbnails are made.
    Nowhere,
    /// The bucket of each image, under this prefix.
    Bucket(Arc<str>),
    /// A store of this process.
    Local(Arc<dyn ThumbnailStore>),
}

impl ThumbnailTarget {
    /// Whether a thumbnail is made of an image that is decoded. `outdated` is the record of the image, if it is completed.
    pub(super) fn is_missing(&self, outdated: Option<&ImageRecord>) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Bucket(_) => outdated.is_none_or(|record| record.payload.thumbnail_key.is_none()),
            Self::Local(_) => true,
        }
    }
}

impl Steps {
    /// Stores the thumbnail, if there is one. An image does not fail if its thumbnail cannot be stored: the service
    /// then makes the thumbnail when it is requested.
    pub(super) async fn thumbnail(self, mut ready: Ready) -> Option<Ready> {
        let Some(bytes) = ready.thumbnail.take() else { return Some(ready) };
        match &self.pipeline().thumbnails {
            ThumbnailTarget::Nowhere => {}
            ThumbnailTarget::Bucket(prefix) => {
                if let Some(key) = self.write_to_bucket(&ready.task.image.uri, prefix, bytes).await {
                    ready.thumbnail_key = Some(key);
                }
            }
            ThumbnailTarget::Local(store) => store.keep(&ready.sha256, bytes).await,
        }
        Some(ready)
    }

    /// Returns the key of the written thumbnail.
    async fn write_to_bucket(&self, uri: &ImageUri, prefix: &str, bytes: Bytes) -> Option<String> {
        // The key is made from the id, because not every key of the bucket is still valid with a prefix.
        let key = format!("{prefix}{}.jpg", uri.id());
        let object = NewObject { bytes, content_type: "image/jpeg".to_owned(), ..NewObject::default() };
        self.current_run().write_lease.granted().await;
        match self.pipeline().source().put(&ImageUri::new(uri.bucket(), &key), object).await {
            Ok(_) => Some(key),
            Err(error) => {
                tracing::warn!(image.uri = %uri, %error, "thumbnail not written");
                None
            }
        }
    }
}
