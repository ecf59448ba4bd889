//! [`Verified`]: a provider that is used only while its space is verified.

use std::sync::Arc;

use async_trait::async_trait;

use super::{EmbedError, ImageEmbeddingProvider, Verification};
use crate::domain::{Embedding, InvalidEmbedding, Language, Space, SpaceMismatch};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::resilience::Guard;

/// A provider that answers only after its space is verified, and whose vectors have the size of that space.
pub struct Verified {
    inner: Arc<dyn ImageEmbeddingProvider>,
    verification: Arc<Verification>,
    guard: Option<Guard>,
}

impl Verified {
    /// Wraps `inner`, which `verification` verifies.
    pub fn new(inner: Arc<dyn ImageEmbeddingProvider>, verification: Arc<Verification>) -> Self {
        Self { inner, verification, guard: None }
    }

    /// Waits with the retries of `guard` for the verification of a provider that is down. `guard` must not use the
    /// breaker that the verification itself uses.
    #[must_use]
    pub fn with_guard(self, guard: Guard) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// Returns the result of `call`, if its `vectors` have the verified size and the space is the same before and after
    /// the call. A vector of another size is an error of the provider if another probe confirms it, otherwise an error
    /// of the input.
    async fn check<T>(
        &self,
        call: impl Future<Output = Result<T, EmbedError>>,
        vectors: impl Fn(&T) -> &[Embedding],
    ) -> Result<T, EmbedError> {
        let space = self.space().await?;
        let expected = space.dimension;
        let answer = match call.await {
            Ok(answer) => match vectors(&answer).iter().map(Embedding::dimension).find(|size| *size != expected) {
                None => Ok(answer),
                Some(actual) => Err(InvalidEmbedding::WrongSize { expected, actual }),
            },
            Err(EmbedError::Invalid(wrong @ InvalidEmbedding::WrongSize { .. })) => Err(wrong),
            Err(other) => return Err(other),
        };
        if let Err(wrong) = &answer {
            tracing::warn!(%wrong, "a vector has the wrong size; the embedding provider is probed again");
            self.verification.invalidate(&space);
        }
        let now = self.space().await?;
        if !Arc::ptr_eq(&space, &now) {
            space.admits(&now).map_err(|mismatch| space_changed(&mismatch))?;
        }
        Ok(answer?)
    }
}

fn space_changed(SpaceMismatch { stored, offered, reason }: &SpaceMismatch) -> EmbedError {
    EmbedError::ProbeFailed(format!(
        "the model of the provider was changed: its vectors were of `{stored}` and are now of `{offered}`: {reason}"
    ))
}

#[async_trait]
impl ImageEmbeddingProvider for Verified {
    fn preprocessing(&self) -> Preprocessing {
        self.inner.preprocessing()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        match &self.guard {
            Some(guard) => guard.call(|| self.verification.space()).await,
            None => self.verification.space().await,
        }
    }

    async fn recheck_space(&self) -> Result<Arc<Space>, EmbedError> {
        match &self.guard {
            Some(guard) => guard.call(|| self.verification.recheck()).await,
            None => self.verification.recheck().await,
        }
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.check(self.inner.embed_image_batch(images), |vectors| vectors).await
    }

    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        self.check(self.inner.embed_image(image), std::slice::from_ref).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.embed_text_in(text, None).await
    }

    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        self.check(self.inner.embed_text_in(text, language), std::slice::from_ref).await
    }

    fn reachable(&self) -> Result<(), EmbedError> {
        let reachable = self.inner.reachable();
        if reachable.is_err() {
            self.verification.request_recheck();
        }
        reachable
    }

    fn inner(&self) -> Option<&dyn ImageEmbeddingProvider> {
        Some(&*self.inner)
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified").field("verification", &self.verification).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "verified_tests.rs"]
pub(super) mod tests;
