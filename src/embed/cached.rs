//! [`TextCache`]: a text that was searched for a moment ago has its vector already.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use lru::LruCache;

use super::{Busy, EmbedError, ImageEmbeddingProvider};
use crate::domain::{Embedding, Space};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::telemetry::metrics::{Counter, families};

/// Remembers the vectors of the texts that were asked for last, of one space at a time. A repeated text costs no
/// call of the provider, even while that is down.
pub struct TextCache {
    inner: Arc<dyn ImageEmbeddingProvider>,
    held: Mutex<Held>,
    hits: Counter,
    misses: Counter,
}

struct Held {
    space: Option<Arc<Space>>,
    texts: LruCache<Box<str>, Embedding>,
}

impl TextCache {
    /// Remembers up to `entries` texts of `inner`: a vector of 512 numbers and its text are about 2 KB.
    pub fn new(inner: Arc<dyn ImageEmbeddingProvider>, entries: NonZeroUsize) -> Self {
        let [hits, misses] = ["hit", "miss"].map(|outcome| families::CACHE_REQUESTS.labels(["text", outcome]));
        Self { inner, held: Mutex::new(Held { space: None, texts: LruCache::new(entries) }), hits, misses }
    }

    /// What is held, of `space` alone.
    fn of(&self, space: &Arc<Space>) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.space.as_ref().is_some_and(|known| Arc::ptr_eq(known, space) || known == space) {
            held.texts.clear();
        }
        held.space = Some(space.clone());
        held
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
        let space = self.inner.space().await?;
        if let Some(known) = self.of(&space).texts.get(text) {
            self.hits.increment(1);
            return Ok(known.clone());
        }
        self.misses.increment(1);
        let vector = self.inner.embed_text(text).await?;
        // Kept only if nothing has changed meanwhile: the vector may be of either space.
        let now = self.inner.space().await?;
        if Arc::ptr_eq(&now, &space) {
            self.of(&space).texts.put(text.into(), vector.clone());
        }
        Ok(vector)
    }

    fn reachable(&self) -> Result<(), EmbedError> {
        self.inner.reachable()
    }

    fn useful_batch(&self) -> NonZeroUsize {
        self.inner.useful_batch()
    }

    fn max_per_call(&self) -> Option<NonZeroUsize> {
        self.inner.max_per_call()
    }

    fn busy(&self) -> Option<Busy> {
        self.inner.busy()
    }
}

impl std::fmt::Debug for TextCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("TextCache").field("texts", &held.texts.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "cached_tests.rs"]
mod tests;
