//! The provider `ollama`: a vision model writes a caption of an image, a text model makes the vector of the caption.
//!
//! Ollama cannot make the vector of an image (its embedding calls ignore `images` and return an empty vector, 501, or
//! the vector of the prompt). Therefore this provider calls `POST /api/chat` with bare base64 and `"stream": false`,
//! and then `POST /api/embed` (Ollama 0.33, `api/types.go`, `docs/api.md`). The space is that of the text model, not
//! CLIP's.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::response::{self, MAX_VECTOR_BYTES, Numbers, SharedPreprocessing};
use super::service::{Service, ServiceSettings};
use super::wire_image::{self, ImageEncoding};
use super::{EmbedError, ImageEmbeddingProvider, probe};
use crate::domain::{Embedding, FailureKind, Space};
use crate::imaging::{InputColour, PreparedImage, Preprocessing, Resize};
use crate::lock::lock;

/// The prompt for each image. Another prompt gives other captions, so a change of it changes what is indexed.
const PROMPT: &str = "Describe this image in one or two sentences for a search engine: \
    what it shows, its colours, and where it was taken. Begin with the main thing.";
/// Maximum tokens of a caption.
const MAX_CAPTION_TOKENS: u32 = 80;
/// Default side of the images in pixels: the size that LLaVA uses. Other models resize them.
const DEFAULT_SIZE: u32 = 336;
/// Number of concurrent caption requests. Ollama queues requests that its machine cannot process concurrently. By
/// default it processes one at a time, so a request may wait for this many.
const MAX_CONCURRENT: NonZeroUsize = NonZeroUsize::new(2).unwrap();
/// Maximum number of captions embedded in one request.
const MAX_TEXTS: usize = 64;
const MAX_CAPTION_BYTES: usize = 256 * 1024;
/// Maximum bytes of the reply to `/api/show`, which includes the model's licence and the list of its tensors.
const MAX_SHOW_BYTES: usize = 16 * 1024 * 1024;

/// The Ollama service and its two models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OllamaSettings {
    /// URL, key and timeout of the service.
    pub service: ServiceSettings,
    /// `OLLAMA_VISION_MODEL`: writes the captions of images.
    pub vision_model: String,
    /// `OLLAMA_MODEL`: makes the vectors of texts.
    pub text_model: String,
    /// `IMAGE_TARGET_SIZE`: side in pixels of the square images for the vision model; 336 if not set.
    pub size: Option<u32>,
    /// `IMAGE_RESIZE`: how an image is made square.
    pub resize: Resize,
    /// `IMAGE_COLOR`: which colours the model gets.
    pub colour: InputColour,
}

/// Makes captions with a vision model and vectors with a text model.
#[derive(Debug)]
pub struct OllamaProvider {
    service: Service,
    preprocessing: SharedPreprocessing,
    vision: String,
    text: String,
    /// Version of the vision model at its last successful probe.
    probed_version: Mutex<Option<Version>>,
}

/// Time of a model's last change; older versions of Ollama do not report it.
type Version = Option<String>;

#[derive(Deserialize)]
struct Chat {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

#[derive(Serialize)]
struct EmbedRequest<'a> {
    model: &'a str,
    input: &'a [String],
    truncate: bool,
}

#[derive(Deserialize)]
struct Embeddings {
    embeddings: Vec<Numbers>,
}

#[derive(Deserialize)]
struct Show {
    /// Missing in older versions of Ollama.
    capabilities: Option<Vec<String>>,
    modified_at: Version,
}

impl OllamaProvider {
    /// Creates the provider; makes no network call.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the URL or the key cannot be used.
    pub fn new(settings: OllamaSettings) -> Result<Self, EmbedError> {
        let concurrent = u32::try_from(MAX_CONCURRENT.get()).unwrap_or(u32::MAX);
        let timeout = settings.service.timeout.saturating_mul(concurrent);
        let service = Service::new("ollama", &ServiceSettings { timeout, ..settings.service })?;
        let own = Preprocessing::new(settings.size.unwrap_or(DEFAULT_SIZE), settings.resize);
        let preprocessing = SharedPreprocessing::new(Preprocessing { colour: settings.colour, ..own });
        Ok(Self {
            service,
            preprocessing,
            vision: settings.vision_model,
            text: settings.text_model,
            probed_version: Mutex::default(),
        })
    }

    /// Checks that `model` exists and has `capability`, and returns its version. Without this check, Ollama would load
    /// a whole model only to report that it cannot make embeddings.
    async fn check_model(&self, model: &str, capability: &str, setting: &str) -> Result<Version, EmbedError> {
        let reply = self.service.post_small("/api/show", &json!({ "model": model }), MAX_SHOW_BYTES).await;
        let show: Show = match reply {
            Ok(show) => show,
            Err(failure) if failure.status.is_some_and(|status| status.as_u16() == 404) => {
                let detail =
                    format!("there is no model `{model}`; run `ollama pull {model}` or set {setting} to another model");
                return Err(self.service.failed(FailureKind::Refused, detail));
            }
            Err(failure) => return Err(failure.error),
        };
        match show.capabilities {
            Some(capabilities) if !capabilities.iter().any(|other| other == capability) => {
                let capabilities = capabilities.join(", ");
                let detail = format!(
                    "the model `{model}` does not have the capability {capability}, only {capabilities}; set {setting} \
                     to another model"
                );
                Err(self.service.failed(FailureKind::Refused, detail))
            }
            Some(_) | None => Ok(show.modified_at),
        }
    }

    /// Checks both models and returns the version of the vision model.
    async fn check_models(&self) -> Result<Version, EmbedError> {
        let version = self.check_model(&self.vision, "vision", "OLLAMA_VISION_MODEL").await?;
        self.check_model(&self.text, "embedding", "OLLAMA_MODEL").await?;
        Ok(version)
    }

    fn model(&self) -> String {
        format!("{}+{}", self.vision, self.text)
    }

    async fn caption(&self, image: PreparedImage) -> Result<String, EmbedError> {
        let (model, prompt) = (json!(self.vision), json!(PROMPT));
        // With temperature 0 and a fixed seed, the same image gets the same caption.
        let options = json!({ "temperature": 0, "seed": 1, "num_predict": MAX_CAPTION_TOKENS });
        let before = format!(
            r#"{{"model":{model},"stream":false,"options":{options},"messages":[{{"role":"user","content":{prompt},"images":["#
        );
        let body = wire_image::body(vec![image], ImageEncoding::Bare, before, "]}]}").await?;
        let chat: Chat = self.service.post("/api/chat", body, MAX_CAPTION_BYTES).await?;
        let caption = chat.message.content.split_whitespace().collect::<Vec<_>>().join(" ");
        if caption.is_empty() {
            return Err(EmbedError::Rejected("the vision model returned an empty caption".to_owned()));
        }
        Ok(caption)
    }

    async fn vectors(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        let mut embeddings = Vec::with_capacity(texts.len());
        for input in texts.chunks(MAX_TEXTS) {
            let request = EmbedRequest { model: &self.text, input, truncate: true };
            let reply: Embeddings =
                self.service.post_small("/api/embed", &request, input.len() * MAX_VECTOR_BYTES).await?;
            embeddings.extend(response::embeddings(reply.embeddings, input.len())?);
        }
        Ok(embeddings)
    }
}

#[async_trait]
impl ImageEmbeddingProvider for OllamaProvider {
    fn preprocessing(&self) -> Preprocessing {
        self.preprocessing.get()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let version = self.check_models().await?;
        let space = probe::probe_caption_space(self, &self.model()).await?;
        *lock(&self.probed_version) = Some(version);
        Ok(Arc::new(space))
    }

    /// Makes no captions if the vision model has not changed since its last successful probe: captions take a minute on
    /// a CPU and would keep the model in memory.
    async fn recheck_space(&self) -> Result<Arc<Space>, EmbedError> {
        let version = self.check_models().await?;
        let is_same = lock(&self.probed_version).as_ref() == Some(&version);
        if is_same { probe::probe_text_space(self, &self.model()).await.map(Arc::new) } else { self.space().await }
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.preprocessing.check(images)?;
        let captions = stream::iter(images.to_vec()).map(|image| self.caption(image)).buffered(MAX_CONCURRENT.get());
        let captions: Vec<String> = captions.try_collect().await?;
        self.vectors(&captions).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        let mut one = self.vectors(&[text.to_owned()]).await?;
        one.pop().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
    }

    fn max_per_call(&self) -> Option<NonZeroUsize> {
        Some(MAX_CONCURRENT)
    }
}
