//! The provider `multi2vec`: Weaviate's multi2vec-clip-inference.
//!
//! `POST /vectorize {"texts": ["…"], "images": ["…"]}`, images as bare base64, answers `{"textVectors": […],
//! "imageVectors": […]}`, or 500 with `{"error": "…"}` for every error (its `app.py` and `clip.py`): one bad image or
//! one text that is too long fails the whole call. Requests do not name a model. Some of its variants return vectors
//! that are not of unit length.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::batch_size::BatchSize;
use super::response::{self, MAX_VECTOR_BYTES, Numbers, SharedPreprocessing};
use super::service::{RequestError, Service};
use super::wire_image::{self, ImageEncoding};
use super::{EmbedError, ImageEmbeddingProvider, RemoteSettings, probe};
use crate::domain::{Embedding, FailureKind, Space};
use crate::imaging::{PreparedImage, Preprocessing};

const PATH: &str = "/vectorize";

/// Weaviate's multi2vec-clip-inference.
#[derive(Debug)]
pub struct Multi2VecProvider {
    service: Service,
    preprocessing: SharedPreprocessing,
    model: String,
    batch: BatchSize,
}

/// A list that was not requested may be empty, `null` or absent; a requested list must be present.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    text_vectors: Option<Vec<Numbers>>,
    image_vectors: Option<Vec<Numbers>>,
}

impl Multi2VecProvider {
    /// Creates the provider; makes no network call.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the URL or the key cannot be used.
    pub fn new(settings: RemoteSettings) -> Result<Self, EmbedError> {
        let service = Service::new("multi2vec", &settings.service)?;
        settings.check().map_err(|reason| service.failed(FailureKind::Refused, reason))?;
        let preprocessing = SharedPreprocessing::new(settings.preprocessing());
        let batch = BatchSize::new(settings.max_batch);
        Ok(Self { service, preprocessing, model: settings.model, batch })
    }

    async fn images(&self, images: Vec<PreparedImage>) -> Result<Vec<Embedding>, RequestError> {
        let sent = images.len();
        let body = wire_image::body(images, ImageEncoding::Bare, r#"{"texts":[],"images":["#.to_owned(), "]}").await?;
        let max_bytes = sent * MAX_VECTOR_BYTES + 2 * body.len();
        let reply: Reply = self.service.post(PATH, body, max_bytes).await?;
        Ok(response::embeddings(reply.image_vectors.ok_or_else(|| self.missing_list("imageVectors"))?, sent)?)
    }

    async fn text(&self, text: &str) -> Result<Vec<Numbers>, RequestError> {
        let body = serde_json::json!({ "texts": [text], "images": [] });
        let reply: Reply = self.service.post_small(PATH, &body, MAX_VECTOR_BYTES + 12 * text.len()).await?;
        Ok(reply.text_vectors.ok_or_else(|| self.missing_list("textVectors"))?)
    }

    fn missing_list(&self, list: &str) -> EmbedError {
        self.service.failed(FailureKind::Failed, format!("its reply has no {list}"))
    }
}

#[async_trait]
impl ImageEmbeddingProvider for Multi2VecProvider {
    fn preprocessing(&self) -> Preprocessing {
        self.preprocessing.get()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let space = probe::probe_space(self, &self.model, None).await?;
        response::check_reads_images(self, ImageEncoding::Bare).await?;
        Ok(Arc::new(space))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.preprocessing.check(images)?;
        self.batch.embed(images, |images| self.images(images)).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        response::embed_shortened(text, |text| self.text(text)).await
    }
}
