//! The provider `clip`: a server with the API of `ai4all/clip`. That API is not documented; the formats below are what
//! two independent clients send and read, one of them tested against the container.
//!
//! `POST /embedding/image {"images": ["data:image/png;base64,…"]}` and `POST /embedding/text {"texts": ["…"]}` answer
//! `[{"image" or "text": "…", "vector": […]}]` in order; some servers repeat the input. Requests do not name a model.
//! `GET /` of `glimpse clip` describes the model, and its texts may have a language (`"lang"`); for other servers the
//! content of `GET /` is not known.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::batch_size::BatchSize;
use super::model_info::{ModelInfo, ServedModel};
use super::response::{self, MAX_VECTOR_BYTES, Numbers};
use super::service::{RequestError, Service};
use super::wire_image::{self, ImageEncoding};
use super::{EmbedError, ImageEmbeddingProvider, RemoteSettings, probe};
use crate::domain::{Embedding, FailureKind, Language, Space};
use crate::imaging::{PreparedImage, Preprocessing};

/// Maximum bytes of the reply to `GET /`, which may be any page.
const MAX_INFO_BYTES: usize = 64 * 1024;

/// A service with the API of `ai4all/clip`.
#[derive(Debug)]
pub struct ClipProvider {
    service: Service,
    served: ServedModel,
    model: String,
    batch: BatchSize,
}

#[derive(Serialize)]
struct TextRequest<'a> {
    texts: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<&'static str>,
}

/// The result for one input; a repeated input is ignored.
#[derive(Deserialize)]
struct Item {
    vector: Numbers,
}

impl ClipProvider {
    /// Creates the provider; makes no network call.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the URL or the key cannot be used.
    pub fn new(settings: RemoteSettings) -> Result<Self, EmbedError> {
        let service = Service::new("clip", &settings.service)?;
        settings.check().map_err(|reason| service.failed(FailureKind::Refused, reason))?;
        let (served, batch) = (ServedModel::new(&settings), BatchSize::new(settings.max_batch));
        Ok(Self { service, served, model: settings.model, batch })
    }

    /// Reads the info of the service. An outage is an error and not an empty info, because a wrong default size would
    /// give a wrong space.
    async fn model_info(&self) -> Result<Option<ModelInfo>, EmbedError> {
        match self.service.get("/", MAX_INFO_BYTES).await {
            Ok(body) => Ok(serde_json::from_slice(&body).ok()),
            Err(RequestError { status: Some(status), .. }) if matches!(status.as_u16(), 300..=400 | 404..=406 | 501) => {
                Ok(None)
            }
            Err(failure) => Err(failure.error),
        }
    }

    async fn images(&self, images: Vec<PreparedImage>) -> Result<Vec<Embedding>, RequestError> {
        let sent = images.len();
        let body = wire_image::body(images, ImageEncoding::DataUri, r#"{"images":["#.to_owned(), "]}").await?;
        let max_bytes = sent * MAX_VECTOR_BYTES + 2 * body.len();
        let items: Vec<Item> = self.service.post("/embedding/image", body, max_bytes).await?;
        Ok(response::embeddings(items.into_iter().map(|item| item.vector).collect(), sent)?)
    }

    async fn text(&self, text: &str, language: Option<Language>) -> Result<Vec<Numbers>, RequestError> {
        let body = TextRequest { texts: [text], lang: self.served.language(language) };
        // A repeated input may have every character escaped.
        let max_bytes = MAX_VECTOR_BYTES + 12 * text.len();
        let items: Vec<Item> = self.service.post_small("/embedding/text", &body, max_bytes).await?;
        Ok(items.into_iter().map(|item| item.vector).collect())
    }
}

#[async_trait]
impl ImageEmbeddingProvider for ClipProvider {
    fn preprocessing(&self) -> Preprocessing {
        self.served.preprocessing.get()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let info = self.served.set(self.model_info().await?)?;
        let model = info.model.as_deref().unwrap_or(&self.model);
        let mut space = probe::probe_space(self, model, info.dimension).await?;
        space.preprocessing.push_str(info.text_rule());
        response::check_reads_images(self, ImageEncoding::DataUri).await?;
        Ok(Arc::new(space))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.served.preprocessing.check(images)?;
        self.batch.embed(images, |images| self.images(images)).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.embed_text_in(text, None).await
    }

    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        response::embed_shortened(text, |text| self.text(text, language)).await
    }
}
