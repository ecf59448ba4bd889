//! [`BatchSize`]: the number of images in one request to a service.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt, TryStreamExt};
use reqwest::StatusCode;

use super::EmbedError;
use super::service::RequestError;
use super::wire_image::max_images;
use crate::domain::Embedding;
use crate::imaging::PreparedImage;

/// Number of concurrent requests of one call: one is encoded while another is in progress.
const MAX_CONCURRENT: usize = 2;

/// The maximum number of images in one request. All calls of a provider share it.
#[derive(Debug)]
pub(super) struct BatchSize(AtomicUsize);

impl BatchSize {
    pub(super) fn new(max: NonZeroUsize) -> Self {
        Self(AtomicUsize::new(max.get()))
    }

    /// Embeds all images in several requests and returns the embeddings in order. `request` must return one embedding
    /// per image.
    ///
    /// # Errors
    /// The first error of a request.
    pub(super) async fn embed<F, Fut>(&self, images: &[PreparedImage], request: F) -> Result<Vec<Embedding>, EmbedError>
    where
        F: Fn(Vec<PreparedImage>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<Vec<Embedding>, RequestError>> + Send,
    {
        let max_by_bytes = max_images(images.iter().map(|image| image.size).max().unwrap_or(1));
        let mut rest = images;
        let requests = std::iter::from_fn(|| {
            let max = self.0.load(Ordering::Relaxed).min(max_by_bytes);
            let (now, later) = rest.split_at(max.min(rest.len()));
            rest = later;
            (!now.is_empty()).then(|| self.embed_halving(now.to_vec(), &request))
        });
        // `buffered` is safe here: there is no later stage, and the server continues while a result is not yet polled.
        let vectors: Vec<Vec<Embedding>> = stream::iter(requests).buffered(MAX_CONCURRENT).try_collect().await?;
        Ok(vectors.into_iter().flatten().collect())
    }

    /// Sends one request, and two with half of the images each if the service refuses it for its size.
    async fn embed_halving<F, Fut>(
        &self,
        images: Vec<PreparedImage>,
        request: &F,
    ) -> Result<Vec<Embedding>, RequestError>
    where
        F: Fn(Vec<PreparedImage>) -> Fut + Send + Sync,
        Fut: Future<Output = Result<Vec<Embedding>, RequestError>> + Send,
    {
        match request(images.clone()).await {
            Err(RequestError { status: Some(StatusCode::PAYLOAD_TOO_LARGE), .. }) if images.len() > 1 => {}
            outcome => return outcome,
        }
        let half = images.len().div_ceil(2);
        let mut vectors = Vec::with_capacity(images.len());
        for part in images.chunks(half) {
            vectors.extend(Box::pin(self.embed_halving(part.to_vec(), request)).await?);
        }
        // The halves are accepted, so the number of images was the cause. The limit is part of the configuration of the
        // service or of its proxy, so it is remembered.
        self.0.fetch_min(half, Ordering::Relaxed);
        Ok(vectors)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn image(value: u8) -> PreparedImage {
        PreparedImage { size: 1, rgb: vec![value; 3].into() }
    }

    /// A service that takes at most `max` images in one request and no image with the value 13.
    struct Service {
        max: usize,
        requests: Mutex<Vec<usize>>,
    }

    impl Service {
        fn new(max: usize) -> Self {
            Self { max, requests: Mutex::default() }
        }

        async fn embed(&self, batch: &BatchSize, images: &[PreparedImage]) -> Result<Vec<f32>, EmbedError> {
            self.requests.lock().unwrap().clear();
            let vectors = batch
                .embed(images, |images: Vec<PreparedImage>| async move {
                    self.requests.lock().unwrap().push(images.len());
                    if images.len() > self.max || images.iter().any(|image| image.rgb[0] == 13) {
                        let error = EmbedError::Rejected("too large".into());
                        return Err(RequestError { status: Some(StatusCode::PAYLOAD_TOO_LARGE), error });
                    }
                    let vector = |image: PreparedImage| Embedding::normalised(vec![f32::from(image.rgb[0]), 1.0], 2);
                    Ok(images.into_iter().map(vector).collect::<Result<_, _>>().map_err(EmbedError::from)?)
                })
                .await?;
            Ok(vectors.iter().map(|vector| (vector.as_slice()[0] / vector.as_slice()[1]).round()).collect())
        }

        fn requests(&self) -> Vec<usize> {
            self.requests.lock().unwrap().clone()
        }
    }

    fn batch_size(max: usize) -> BatchSize {
        BatchSize::new(NonZeroUsize::new(max).unwrap())
    }

    #[tokio::test]
    async fn requests_respect_the_batch_size_and_the_byte_limit() {
        let service = Service::new(16);
        let images: Vec<_> = (1..=7).map(image).collect();
        let vectors = service.embed(&batch_size(3), &images).await.unwrap();
        assert_eq!(vectors, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(service.requests(), [3, 3, 1]);
        assert!(service.embed(&batch_size(3), &[]).await.unwrap().is_empty());
        assert!(service.requests().is_empty());
        let large = PreparedImage { size: 4000, rgb: vec![7; 3].into() };
        service.embed(&batch_size(16), &[large.clone(), large]).await.unwrap();
        assert_eq!(service.requests(), [1, 1]);
    }

    #[tokio::test]
    async fn a_batch_that_is_refused_for_its_size_succeeds_in_halves_and_the_size_is_remembered() {
        let (service, batch) = (Service::new(2), batch_size(8));
        let images: Vec<_> = (1..=5).map(image).collect();
        for requests in [vec![5, 3, 2, 1, 2], vec![2, 2, 1]] {
            assert_eq!(service.embed(&batch, &images).await.unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(service.requests(), requests);
        }
    }

    #[tokio::test]
    async fn one_image_that_is_too_large_fails_alone_and_does_not_change_the_size() {
        let (service, batch) = (Service::new(4), batch_size(4));
        let outcome = service.embed(&batch, &[1, 2, 13, 4].map(image)).await;
        assert!(matches!(outcome, Err(EmbedError::Rejected(_))), "{outcome:?}");
        assert_eq!(service.requests(), [4, 2, 2, 1]);
        service.embed(&batch, &[1, 2, 3, 4].map(image)).await.unwrap();
        assert_eq!(service.requests(), [4]);
    }
}
