//! [`Verified`]: a provider that is used only as far as its proof goes.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Busy, EmbedError, ImageEmbeddingProvider, Proof};
use crate::domain::{Embedding, InvalidEmbedding, Space, SpaceMismatch};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::resilience::Guard;

/// A provider that answers only once its space is proven, and whose vectors are of that space's size.
pub struct Verified {
    inner: Arc<dyn ImageEmbeddingProvider>,
    proof: Arc<Proof>,
    patience: Option<Guard>,
}

impl Verified {
    /// Uses `inner` as far as `proof` goes.
    pub fn new(inner: Arc<dyn ImageEmbeddingProvider>, proof: Arc<Proof>) -> Self {
        Self { inner, proof, patience: None }
    }

    /// Waits, as `guard` does, for the proof of a provider that is down. It must not go through the breaker that the proof
    /// itself goes through.
    #[must_use]
    pub fn with_patience(self, guard: Guard) -> Self {
        Self { patience: Some(guard), ..self }
    }

    /// What `call` answers, if `vectors` of it have the proven size, and if the space is after it what it was before.
    /// A vector of another size is the provider's trouble where another probe says so too, else the input's.
    async fn checked<T>(
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
            tracing::warn!(%wrong, "the embedding provider is probed again");
            self.proof.doubt(&space);
        }
        let now = self.space().await?;
        if !Arc::ptr_eq(&space, &now) {
            space.admits(&now).map_err(|moved| changed(&moved))?;
        }
        Ok(answer?)
    }
}

fn changed(SpaceMismatch { stored, offered, reason }: &SpaceMismatch) -> EmbedError {
    EmbedError::ProbeFailed(format!(
        "the model behind it was changed: it made vectors of `{stored}`, now it makes vectors of `{offered}`: {reason}"
    ))
}

#[async_trait]
impl ImageEmbeddingProvider for Verified {
    fn preprocessing(&self) -> Preprocessing {
        self.inner.preprocessing()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        match &self.patience {
            Some(guard) => guard.call(|| self.proof.space()).await,
            None => self.proof.space().await,
        }
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.checked(self.inner.embed_image_batch(images), |vectors| vectors).await
    }

    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        self.checked(self.inner.embed_image(image), std::slice::from_ref).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.checked(self.inner.embed_text(text), std::slice::from_ref).await
    }

    fn reachable(&self) -> Result<(), EmbedError> {
        let reachable = self.inner.reachable();
        if reachable.is_err() {
            self.proof.miss();
        }
        reachable
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

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified").field("proof", &self.proof).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "verified_tests.rs"]
mod tests;
