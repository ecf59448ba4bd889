//! The provider `ollama`: a vision model puts an image into words, a text model makes the vector of the words.
//!
//! Ollama has no way to an image's vector (its embedding calls drop `images` and answer an empty vector, 501, or the
//! vector of the prompt), so this is what works with it: `POST /api/chat` with bare base64 and `"stream": false`, then
//! `POST /api/embed` (Ollama 0.33, `api/types.go`, `docs/api.md`). The space is the text model's, not CLIP's.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::http::{Service, ServiceSettings};
use super::reading::{self, Numbers, Square, VECTOR_BYTES};
use super::wire_image::{self, Form};
use super::{EmbedError, ImageEmbeddingProvider, probe};
use crate::domain::{Embedding, Space, Trouble};
use crate::imaging::{PreparedImage, Preprocessing, Resize};

/// What is asked about each image. Another prompt makes other captions: a change of it is a change of what is indexed.
const PROMPT: &str = "Describe this image in one or two sentences for a search engine: \
    what it shows, its colours, and where it was taken. Begin with the main thing.";
/// Tokens of a caption.
const CAPTION_TOKENS: u32 = 80;
/// LLaVA looks at images of 336 pixels a side; others resize.
const SIZE: u32 = 336;
/// Captions under way at once. Ollama itself queues what its machine cannot do at once: by default it makes one at a
/// time, so that each request may have to wait for this many.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(2).unwrap();
/// Captions embedded in one request.
const TEXTS: usize = 64;
const CAPTION_BYTES: usize = 256 * 1024;
/// What `/api/show` says includes the model's licence and the list of its tensors.
const SHOW_BYTES: usize = 16 * 1024 * 1024;

/// Which Ollama, and which of its models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OllamaSettings {
    /// Where it is.
    pub service: ServiceSettings,
    /// `OLLAMA_VISION_MODEL`: puts images into words.
    pub vision_model: String,
    /// `OLLAMA_MODEL`: makes vectors of words.
    pub text_model: String,
    /// `IMAGE_TARGET_SIZE`: the side of the square that the vision model is shown; else 336.
    pub size: Option<u32>,
    /// `IMAGE_RESIZE`: how an image is brought to it.
    pub resize: Resize,
}

/// Captions by a vision model, vectors by a text model.
#[derive(Debug)]
pub struct OllamaProvider {
    service: Service,
    square: Square,
    vision: String,
    text: String,
    /// The vision model as it was when it last passed its probe.
    probed: Mutex<Option<Version>>,
}

/// When a model was last changed; older versions of Ollama do not say.
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
    /// Older versions say nothing of it.
    capabilities: Option<Vec<String>>,
    modified_at: Version,
}

impl OllamaProvider {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] where the settings cannot be used.
    pub fn new(settings: OllamaSettings) -> Result<Self, EmbedError> {
        let waits = u32::try_from(AT_ONCE.get()).unwrap_or(u32::MAX);
        let timeout = settings.service.timeout.saturating_mul(waits);
        let service = Service::new("ollama", &ServiceSettings { timeout, ..settings.service })?;
        let square = Square::new(settings.size.unwrap_or(SIZE), settings.resize);
        Ok(Self { service, square, vision: settings.vision_model, text: settings.text_model, probed: Mutex::default() })
    }

    /// Whether `model` is there and can do what it is to do. A model that makes no embeddings would be loaded whole only
    /// to say so.
    async fn can(&self, model: &str, capability: &str, setting: &str) -> Result<Version, EmbedError> {
        let shown = self.service.post_small("/api/show", &json!({ "model": model }), SHOW_BYTES).await;
        let show: Show = match shown {
            Ok(show) => show,
            Err(no) if no.status.is_some_and(|status| status.as_u16() == 404) => {
                let detail = format!("it has no model `{model}`: run `ollama pull {model}` or set {setting}");
                return Err(self.service.failed(Trouble::Refused, detail));
            }
            Err(no) => return Err(no.error),
        };
        match show.capabilities {
            Some(has) if !has.iter().any(|one| one == capability) => {
                let detail = format!("its model `{model}` has no {capability}, but {}; set {setting}", has.join(", "));
                Err(self.service.failed(Trouble::Refused, detail))
            }
            Some(_) | None => Ok(show.modified_at),
        }
    }

    /// Whether both models are there; answers with the vision model's version.
    async fn both(&self) -> Result<Version, EmbedError> {
        let version = self.can(&self.vision, "vision", "OLLAMA_VISION_MODEL").await?;
        self.can(&self.text, "embedding", "OLLAMA_MODEL").await?;
        Ok(version)
    }

    fn model(&self) -> String {
        format!("{}+{}", self.vision, self.text)
    }

    async fn caption(&self, image: PreparedImage) -> Result<String, EmbedError> {
        let (model, prompt) = (json!(self.vision), json!(PROMPT));
        // Temperature 0 and a seed: the same image gets the same words.
        let options = json!({ "temperature": 0, "seed": 1, "num_predict": CAPTION_TOKENS });
        let before = format!(
            r#"{{"model":{model},"stream":false,"options":{options},"messages":[{{"role":"user","content":{prompt},"images":["#
        );
        let body = wire_image::body(vec![image], Form::Bare, before, "]}]}").await?;
        let chat: Chat = self.service.post("/api/chat", body, CAPTION_BYTES).await?;
        let caption = chat.message.content.split_whitespace().collect::<Vec<_>>().join(" ");
        if caption.is_empty() {
            return Err(EmbedError::Rejected("the vision model has no words for it".to_owned()));
        }
        Ok(caption)
    }

    async fn vectors(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
        let mut embeddings = Vec::with_capacity(texts.len());
        for input in texts.chunks(TEXTS) {
            let request = EmbedRequest { model: &self.text, input, truncate: true };
            let reply: Embeddings = self.service.post_small("/api/embed", &request, input.len() * VECTOR_BYTES).await?;
            embeddings.extend(reading::embeddings(reply.embeddings, input.len())?);
        }
        Ok(embeddings)
    }
}

#[async_trait]
impl ImageEmbeddingProvider for OllamaProvider {
    fn preprocessing(&self) -> Preprocessing {
        self.square.preprocessing()
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        let version = self.both().await?;
        let space = probe::space_of_captions(self, &self.model()).await?;
        *self.probed.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
        Ok(Arc::new(space))
    }

    /// Without captions as long as the vision model is the one that passed: they take a CPU a minute, and would keep the
    /// model in memory.
    async fn space_again(&self) -> Result<Arc<Space>, EmbedError> {
        let version = self.both().await?;
        let is_same = self.probed.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&version);
        if is_same { probe::space_of_texts(self, &self.model()).await.map(Arc::new) } else { self.space().await }
    }

    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        self.square.check(images)?;
        let captions = stream::iter(images.to_vec()).map(|image| self.caption(image)).buffered(AT_ONCE.get());
        let captions: Vec<String> = captions.try_collect().await?;
        self.vectors(&captions).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        let mut one = self.vectors(&[text.to_owned()]).await?;
        one.pop().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
    }

    fn max_per_call(&self) -> Option<NonZeroUsize> {
        Some(AT_ONCE)
    }
}
