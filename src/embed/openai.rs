//! The provider `openai`: a server with OpenAI's `/embeddings`, extended for images like the server infinity.
//!
//! `POST /embeddings {"model", "input": […], "modality": "image" or "text", "encoding_format": "float"}` answers
//! `{"data": [{"embedding": […], "index": 0}]}` (infinity 0.0.77, `infinity_server.py` and `pymodels.py`). An image is
//! a data URI; without `modality` it would be read as text. A request has at most 32 images.
//!
//! Infinity splits texts into tokens by the processor of transformers with `padding=True` and `truncation=True`
//! (`torch_vision.py`): it pads to the longest text of a batch and leaves lower case to the tokenizer. A SigLIP needs more,
//! see [`ServiceRules`].

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::batch_size::BatchSize;
use super::response::{self, MAX_VECTOR_BYTES, Numbers, SharedPreprocessing};
use super::service::{RequestError, Service};
use super::wire_image::{self, ImageEncoding};
use super::{EmbedError, ImageEmbeddingProvider, RemoteSettings, probe};
use crate::domain::{Embedding, FailureKind, Space};
use crate::imaging::{PreparedImage, Preprocessing};
use crate::models::ServiceRules;

/// Maximum number of images in one request; infinity refuses more with 422.
const MAX_IMAGES: NonZeroUsize = NonZeroUsize::new(32).unwrap();
const MAX_MODELS_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of model names in an error message.
const MAX_NAMES: usize = 5;

/// A service with OpenAI's `/embeddings`.
#[derive(Debug)]
pub struct OpenAiProvider {
    service: Service,
    preprocessing: SharedPreprocessing,
    /// Of a model that the catalogue knows.
    rules: Option<ServiceRules>,
    model: String,
    batch: BatchSize,
}

#[derive(Serialize)]
struct TextRequest<'a> {
    model: &'a str,
    modality: &'static str,
    encoding_format: &'static str,
    input: &'a [Cow<'a, str>],
}

#[derive(Deserialize)]
struct Reply {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    embedding: Numbers,
    index: Option<usize>,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl OpenAiProvider {
    /// Creates the provider; makes no network call.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the URL or the key cannot be used.
    pub fn new(settings: RemoteSettings) -> Result<Self, EmbedError> {
        let service = Service::new("openai", &settings.service)?;
        let (preprocessing, rules) = (SharedPreprocessing::new(settings.preprocessing()), settings.rules());
        let batch = BatchSize::new(settings.max_batch.min(MAX_IMAGES));
        Ok(Self { service, preprocessing, rules, model: settings.model, batch })
    }

    /// Checks the list of models of the service, because the error for a model that does not exist looks like the error
    /// for a bad input. Succeeds if the service has no such list.
    async fn check_model(&self) -> Result<(), EmbedError> {
        let Ok(body) = self.service.get("/models", MAX_MODELS_BYTES).await else { return Ok(()) };
        let Ok(models) = serde_json::from_slice::<Models>(&body) else { return Ok(()) };
        if models.data.is_empty() || models.data.iter().any(|model| model.id == self.model) {
            return Ok(());
        }
        let names: Vec<_> = models.data.iter().take(MAX_NAMES).map(|model| model.id.as_str()).collect();
        let detail = format!(
            "the service does not have the model `{}`; set CLIP_MODEL to one of its models, such as {}",
            self.model,
            names.join(", ")
        );
        Err(self.service.failed(FailureKind::Refused, detail))
    }

    async fn images(&self, images: Vec<PreparedImage>) -> Result<Vec<Embedding>, RequestError> {
        let sent = images.len();
        let model = serde_json::json!(self.model);
        let before = format!(r#"{{"model":{model},"modality":"image","encoding_format":"float","input":["#);
        let body = wire_image::body(images, ImageEncoding::DataUri, before, "]}").await?;
        let max_bytes = sent * MAX_VECTOR_BYTES + 2 * body.len();
        let reply = self.service.post("/embeddings", body, max_bytes).await?;
        Ok(response::embeddings(self.in_order(reply)?, sent)?)
    }

    /// Returns the vectors in the order of the inputs. The list of the reply may have another order.
    fn in_order(&self, Reply { mut data }: Reply) -> Result<Vec<Numbers>, EmbedError> {
        if data.iter().any(|item| item.index.is_some()) {
            data.sort_by_key(|item| item.index);
            if let Some((place, item)) = data.iter().enumerate().find(|(place, item)| item.index != Some(*place)) {
                let detail =
                    format!("the reply has index {:?} at place {place}; each index must occur once", item.index);
                return Err(self.service.failed(FailureKind::Failed, detail));
            }
        }
        Ok(data.into_iter().map(|item| item.embedding).collect())
    }
}

#[async_trait]
impl ImageEmbeddingProvider for OpenAiProvider {
    fn preprocessing(&self) -> Preprocessing {
        self.preprocessing.get()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        self.check_model().await?;
        let mut space = probe::probe_space(self, &self.model, None).await?;
        // As for a model in this process: the probes do not show how texts are cleaned.
        space.preprocessing.push_str(self.rules.map_or("", |rules| rules.cleaning().name()));
        response::check_reads_images(self, ImageEncoding::DataUri).await?;
        Ok(Arc::new(space))
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.preprocessing.check(images)?;
        self.batch.embed(images, |images| self.images(images)).await
    }

    /// The service truncates a long text itself.
    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        let input = self.rules.map_or_else(|| vec![Cow::Borrowed(text)], |rules| rules.texts(text));
        let sent_bytes: usize = input.iter().map(|text| text.len()).sum();
        let request = TextRequest { model: &self.model, modality: "text", encoding_format: "float", input: &input };
        let max_bytes = input.len() * MAX_VECTOR_BYTES + 12 * sent_bytes;
        let reply = self.service.post_small("/embeddings", &request, max_bytes).await?;
        let vectors = response::embeddings(self.in_order(reply)?, input.len())?;
        vectors.into_iter().next().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
    }
}
