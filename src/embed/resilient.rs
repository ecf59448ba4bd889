//! [`Resilient`]: makes every call of a provider through one guard.

use std::sync::Arc;

use async_trait::async_trait;

use super::{EmbedError, ImageEmbeddingProvider, probe};
use crate::domain::{Embedding, Language, Space};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::resilience::{CheckedCallError, Guard};

/// A provider whose calls are retried by the policy of its guard. Jobs and searches each have one, over the same
/// adapter and the same breaker.
pub struct Resilient {
    inner: Arc<dyn ImageEmbeddingProvider>,
    guard: Guard,
}

impl Resilient {
    /// Guards `inner`.
    pub fn new(inner: Arc<dyn ImageEmbeddingProvider>, guard: Guard) -> Self {
        Self { inner, guard }
    }
}

#[async_trait]
impl ImageEmbeddingProvider for Resilient {
    fn preprocessing(&self) -> Preprocessing {
        self.inner.preprocessing()
    }

    /// One call for the guard, although a probe makes several: if one of them fails, the whole probe is retried.
    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        self.guard.with_timeout_times(probe::MAX_PROBE_CALLS).call(|| self.inner.space()).await
    }

    async fn recheck_space(&self) -> Result<Arc<Space>, EmbedError> {
        self.guard.with_timeout_times(probe::MAX_PROBE_CALLS).call(|| self.inner.recheck_space()).await
    }

    /// Background retries for one image are not endless: if the provider passes its probe, the image is the cause.
    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        let embed = || self.inner.embed_image_batch(images);
        match self.guard.call_checking_input(|_| true, embed, || self.inner.space()).await {
            Ok(embeddings) => Ok(embeddings),
            Err(CheckedCallError::Call(error)) => Err(error),
            Err(CheckedCallError::BadInput { tries, error }) => {
                let dependency = self.guard.dependency().to_owned();
                let images = images.len();
                tracing::warn!(dependency, tries, images, %error, "the embedding provider fails for this input only");
                Err(EmbedError::Failing { dependency, tries })
            }
        }
    }

    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        self.guard.call(|| self.inner.embed_image(image)).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.embed_text_in(text, None).await
    }

    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        self.guard.call(|| self.inner.embed_text_in(text, language)).await
    }

    fn reachable(&self) -> Result<(), EmbedError> {
        Ok(self.guard.reachable()?)
    }

    fn inner(&self) -> Option<&dyn ImageEmbeddingProvider> {
        Some(&*self.inner)
    }
}

impl std::fmt::Debug for Resilient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resilient").field("guard", &self.guard).finish_non_exhaustive()
    }
}
