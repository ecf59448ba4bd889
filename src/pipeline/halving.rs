//! One bad image costs one image, even in a call that takes many.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;

use super::Pipeline;
use crate::domain::Embedding;
use crate::embed::EmbedError;
use crate::imaging::PreparedImage;

type Embeddings = Vec<Result<Embedding, EmbedError>>;

impl Pipeline {
    /// Embeds all, in calls of as many as the provider takes at once; a rejected batch is halved until the bad one stands alone. A provider that is down, or that does not do
    /// what it says, is no image's failure.
    pub(super) fn embed_halving<'a>(
        &'a self,
        images: &'a [PreparedImage],
    ) -> Pin<Box<dyn Future<Output = Result<Embeddings, EmbedError>> + Send + 'a>> {
        Box::pin(async move {
            let most = self.provider.max_per_call().map_or(usize::MAX, NonZeroUsize::get);
            if images.len() > most {
                return self.embed_halves(images).await;
            }
            let error = match self.provider.embed_image_batch(images).await {
                Ok(embeddings) if embeddings.len() == images.len() => {
                    return Ok(embeddings.into_iter().map(Ok).collect());
                }
                Ok(embeddings) => EmbedError::WrongCount { sent: images.len(), got: embeddings.len() },
                Err(error @ (EmbedError::Dependency(_) | EmbedError::ProbeFailed(_))) => return Err(error),
                Err(
                    error @ (EmbedError::Rejected(_)
                    | EmbedError::Failing { .. }
                    | EmbedError::WrongCount { .. }
                    | EmbedError::Invalid(_)
                    | EmbedError::Unsupported),
                ) => error,
            };
            if images.len() <= 1 {
                return Ok(images.iter().map(|_| Err(error.clone())).collect());
            }
            self.embed_halves(images).await
        })
    }

    async fn embed_halves(&self, images: &[PreparedImage]) -> Result<Embeddings, EmbedError> {
        let (left, right) = images.split_at(images.len() / 2);
        let mut halves = self.embed_halving(left).await?;
        halves.extend(self.embed_halving(right).await?);
        Ok(halves)
    }
}
