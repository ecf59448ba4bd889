//! One bad image fails only itself, even in a call with many images.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;

use super::Pipeline;
use crate::domain::Embedding;
use crate::embed::EmbedError;
use crate::imaging::PreparedImage;

type Embeddings = Vec<Result<Embedding, EmbedError>>;

impl Pipeline {
    /// Embeds all images, in calls with as many as the provider accepts. A rejected batch is halved until the bad image
    /// is alone. Returns an error if the provider is down or does not do what it announces: this is not the failure of
    /// an image.
    pub(super) fn embed_halving<'a>(
        &'a self,
        images: &'a [PreparedImage],
    ) -> Pin<Box<dyn Future<Output = Result<Embeddings, EmbedError>> + Send + 'a>> {
        Box::pin(async move {
            let max_per_call = self.provider.max_per_call().map_or(usize::MAX, NonZeroUsize::get);
            if images.len() > max_per_call {
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
