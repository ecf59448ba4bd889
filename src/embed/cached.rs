//! [`TextCache`]: caches the vectors of recent search texts.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use lru::LruCache;

use super::{EmbedError, ImageEmbeddingProvider};
use crate::domain::{Embedding, Language, Space};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::lock::lock;
use crate::telemetry::metrics::{Counter, counter, families};

/// Caches the vectors of the most recent texts, for one space at a time. A repeated text needs no call of the provider,
/// even while the provider is down.
pub struct TextCache {
    inner: Arc<dyn ImageEmbeddingProvider>,
    cached: Mutex<Cached>,
    hits: Counter,
    misses: Counter,
}

struct Cached {
    space: Option<Arc<Space>>,
    texts: LruCache<TextKey, Embedding>,
}

/// A text and its language. The same text in another language may have another vector.
type TextKey = (Box<str>, Option<Language>);

impl TextCache {
    /// Caches up to `entries` texts of `inner`. A vector of 512 numbers and its text need about 2 KB.
    pub fn new(inner: Arc<dyn ImageEmbeddingProvider>, entries: NonZeroUsize) -> Self {
        let [hits, misses] =
            ["hit", "miss"].map(|outcome| counter!(families::CACHE_REQUESTS, "cache" => "text", "outcome" => outcome));
        Self { inner, cached: Mutex::new(Cached { space: None, texts: LruCache::new(entries) }), hits, misses }
    }

    /// Locks the cache and clears it if it holds vectors of another space.
    fn lock_for(&self, space: &Arc<Space>) -> MutexGuard<'_, Cached> {
        let mut cached = lock(&self.cached);
        if !cached.space.as_ref().is_some_and(|found| Arc::ptr_eq(found, space) || found == space) {
            cached.texts.clear();
        }
        cached.space = Some(space.clone());
        cached
    }
}

#[async_trait]
impl ImageEmbeddingProvider for TextCache {
    fn preprocessing(&self) -> Preprocessing {
        self.inner.preprocessing()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        self.inner.space().await
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.inner.embed_image_batch(images).await
    }

    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        self.inner.embed_image(image).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.embed_text_in(text, None).await
    }

    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        let space = self.inner.space().await?;
        let key = (text.into(), language);
        if let Some(found) = self.lock_for(&space).texts.get(&key) {
            self.hits.increment(1);
            return Ok(found.clone());
        }
        self.misses.increment(1);
        let vector = self.inner.embed_text_in(text, language).await?;
        // Stored only if the space has not changed during the call; otherwise the vector may belong to either space.
        let now = self.inner.space().await?;
        if Arc::ptr_eq(&now, &space) {
            self.lock_for(&space).texts.put(key, vector.clone());
        }
        Ok(vector)
    }

    fn inner(&self) -> Option<&dyn ImageEmbeddingProvider> {
        Some(&*self.inner)
    }
}

impl std::fmt::Debug for TextCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cached = lock(&self.cached);
        f.debug_struct("TextCache").field("texts", &cached.texts.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "cached_tests.rs"]
mod tests;
