//! The provider `openai`: a server with OpenAI's `/embeddings`, extended for images like the server infinity.
//!
//! `POST /embeddings {"model", "input": […], "modality": "image" or "text", "encoding_format": "float"}` answers
//! `{"data": [{"embedding": […], "index": 0}]}` (infinity 0.0.77, `infinity_server.py` and `pymodels.py`). An image is
//! a data URI; without `modality` it would be read as text. A request has at most 32 images.
//!
//! `glimpse clip` has the same routes. Its list of models describes the model in the field `glimpse`, and its texts may
//! have a language (`"lang"`).
//!
//! Infinity splits texts into tokens by the processor of transformers with `padding=True` and `truncation=True`
//! (`torch_vision.py`): it pads to the longest text of a batch and leaves lower case to the tokenizer. A SigLIP needs
//! more, see [`ServiceRules`](crate::models::ServiceRules).

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::batch_size::BatchSize;
use super::local::BUILT_IN;
use super::model_info::{ModelInfo, ServedModel};
use super::response::{self, MAX_VECTOR_BYTES, Numbers};
use super::service::{RequestError, Service};
use super::wire_image::{self, ImageEncoding};
use super::{EmbedError, ImageEmbeddingProvider, RemoteSettings, probe};
use crate::domain::{Embedding, FailureKind, Language, Space};
use crate::imaging::{PreparedImage, Preprocessing};

/// Maximum number of images in one request; infinity refuses more with 422.
const MAX_IMAGES: NonZeroUsize = NonZeroUsize::new(32).unwrap();
const MAX_MODELS_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of model names in an error message.
const MAX_NAMES: usize = 5;

/// A service with OpenAI's `/embeddings`.
#[derive(Debug)]
pub struct OpenAiProvider {
    service: Service,
    served: ServedModel,
    model: String,
    batch: BatchSize,
}

#[derive(Serialize)]
struct TextRequest<'a> {
    model: &'a str,
    modality: &'static str,
    encoding_format: &'static str,
    input: &'a [Cow<'a, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<&'static str>,
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
    /// Only `glimpse clip` has this field.
    glimpse: Option<ModelInfo>,
}

impl OpenAiProvider {
    /// Creates the provider; makes no network call.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the URL or the key cannot be used.
    pub fn new(settings: RemoteSettings) -> Result<Self, EmbedError> {
        let service = Service::new("openai", &settings.service)?;
        settings.check().map_err(|reason| service.failed(FailureKind::Refused, reason))?;
        let served = ServedModel::new(&settings);
        let batch = BatchSize::new(settings.max_batch.min(MAX_IMAGES));
        Ok(Self { service, served, model: settings.model, batch })
    }

    /// Returns what the list of models says about the model, or `None` if the service has no such list. The list is
    /// checked because the error for a model that does not exist looks like the error for a bad input.
    ///
    /// # Errors
    /// [`FailureKind::Refused`] if the service does not have the model, and the error of a service that is down: with a
    /// wrong default size for the images, the space would be wrong.
    async fn model_info(&self) -> Result<Option<ModelInfo>, EmbedError> {
        let models = match self.service.get("/models", MAX_MODELS_BYTES).await {
            Ok(body) => serde_json::from_slice(&body).unwrap_or(Models { data: Vec::new() }),
            Err(RequestError { status: None | Some(StatusCode::TOO_MANY_REQUESTS), error }) => return Err(error),
            Err(RequestError { status: Some(status), error })
                if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED =>
            {
                return Err(error);
            }
            Err(_) => Models { data: Vec::new() },
        };
        let names: Vec<_> = models.data.iter().take(MAX_NAMES).map(|model| model.id.clone()).collect();
        let detail = match (models.data.into_iter().find(|model| model.id == self.model), &names[..]) {
            (Some(model), _) => return Ok(model.glimpse),
            (None, []) if self.model == BUILT_IN => "CLIP_MODEL is not set; set it to the name of a model of the service, such as openai/clip-vit-base-patch32".to_owned(),
            (None, []) => return Ok(None),
            (None, names) => format!(
                "the service does not have the model `{}`; set CLIP_MODEL to one of its models, such as {}",
                self.model,
                names.join(", ")
            ),
        };
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
        self.served.preprocessing.get()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let info = self.served.set(self.model_info().await?)?;
        let mut space = probe::probe_space(self, &self.model, info.dimension).await?;
        space.preprocessing.push_str(self.served.text_rule(&info));
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

    /// The service truncates a long text itself.
    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        let (model, lang) = (&*self.model, self.served.language(language));
        let texts = self.served.texts(text)?;
        let max_bytes = texts.iter().map(|text| MAX_VECTOR_BYTES + 12 * text.len()).sum();
        let request = TextRequest { model, modality: "text", encoding_format: "float", input: &texts, lang };
        let reply = self.service.post_small("/embeddings", &request, max_bytes).await?;
        let vectors = response::embeddings(self.in_order(reply)?, texts.len())?;
        vectors.into_iter().next().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
    }
}
