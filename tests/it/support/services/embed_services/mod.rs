//! Embedding services over real HTTP, in the JSON of REFERENCE.md, as strict as the real ones, with real vectors of
//! the built-in model.

mod routes;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use glimpse::domain::Secret;
use glimpse::embed::local::LocalProvider;
use glimpse::embed::{
    ClipProvider, EmbedError, ImageEmbeddingProvider, Multi2VecProvider, OllamaProvider, OllamaSettings,
    OpenAiProvider, ProviderKind, RemoteSettings, ServiceSettings,
};
use glimpse::imaging::{InputColour, PreparedImage, Resize};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{locked, serve};

/// The model of all of them.
pub(crate) static MODEL: LazyLock<LocalProvider> =
    LazyLock::new(|| LocalProvider::start(NonZeroUsize::new(2).unwrap()).unwrap());

/// The side of the images that it takes.
pub(crate) const SIZE: u32 = 260;

/// The model that clients of OpenAI must request.
pub(crate) const OPENAI_MODEL: &str = "glimpse/mini-1";

/// Requests that a fake has received.
#[derive(Default)]
pub(crate) struct ReceivedRequests {
    pub(crate) bodies: Vec<(String, Value)>,
    pub(crate) clients: BTreeSet<SocketAddr>,
}

/// A running service.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) received: Arc<Mutex<ReceivedRequests>>,
    _task: AbortOnDropHandle<()>,
}

/// The state of the handlers.
#[derive(Clone)]
struct Shared {
    received: Arc<Mutex<ReceivedRequests>>,
    /// Treats images as text, as a service does that does not know `modality`.
    reads_images_as_text: bool,
}

impl Service {
    pub(crate) async fn start(kind: ProviderKind) -> Self {
        Self::start_as(kind, false).await
    }

    /// Starts one that treats images as text.
    pub(crate) async fn start_reading_images_as_text(kind: ProviderKind) -> Self {
        Self::start_as(kind, true).await
    }

    async fn start_as(kind: ProviderKind, reads_images_as_text: bool) -> Self {
        let router = match kind {
            ProviderKind::Clip => Router::new()
                .route("/", get(routes::clip_card))
                .route("/embedding/image", post(routes::clip_images))
                .route("/embedding/text", post(routes::clip_texts)),
            ProviderKind::OpenAi => Router::new()
                .route("/v1/embeddings", post(routes::openai))
                .route("/v1/models", get(routes::openai_models)),
            ProviderKind::Multi2Vec => Router::new().route("/vectorize", post(routes::multi2vec)),
            ProviderKind::Ollama => Router::new()
                .route("/api/show", post(routes::ollama_show))
                .route("/api/chat", post(routes::ollama_chat))
                .route("/api/embed", post(routes::ollama_embed)),
            ProviderKind::Local => panic!("it has no service"),
        };
        let received = Arc::new(Mutex::new(ReceivedRequests::default()));
        let router = router
            .with_state(Shared { received: received.clone(), reads_images_as_text })
            .layer(DefaultBodyLimit::max(1 << 26));
        let (base, task) = serve(router).await;
        let url = if kind == ProviderKind::OpenAi { format!("{base}/v1") } else { base };
        Self { url, received, _task: task }
    }

    /// The number of images in each request.
    pub(crate) fn batches(&self) -> Vec<usize> {
        let received = locked(&self.received);
        let images = |body: &Value| ["images", "input"].iter().find_map(|name| Some(body[name].as_array()?.len()));
        let mut batches: Vec<_> = received.bodies.iter().filter_map(|(_, body)| images(body)).collect();
        batches.sort_unstable_by(|a, b| b.cmp(a));
        batches
    }
}

/// The adapter of this kind for the service at `url`, prepared for images of `size` if it must be set.
pub(crate) fn provider(
    kind: ProviderKind,
    url: &str,
    size: Option<u32>,
    timeout: Duration,
) -> Box<dyn ImageEmbeddingProvider> {
    let service = ServiceSettings { url: url.parse().unwrap(), key: Secret::new("key"), timeout };
    let remote = || RemoteSettings {
        service: service.clone(),
        model: OPENAI_MODEL.to_owned(),
        max_batch: NonZeroUsize::new(4).unwrap(),
        size,
        resize: Resize::Crop,
        colour: InputColour::Reference,
    };
    match kind {
        ProviderKind::Clip => Box::new(ClipProvider::new(remote()).unwrap()),
        ProviderKind::OpenAi => Box::new(OpenAiProvider::new(remote()).unwrap()),
        ProviderKind::Multi2Vec => Box::new(Multi2VecProvider::new(remote()).unwrap()),
        ProviderKind::Ollama => Box::new(
            OllamaProvider::new(OllamaSettings {
                service: service.clone(),
                vision_model: "llava".to_owned(),
                text_model: "nomic-embed-text".to_owned(),
                size,
                resize: Resize::Crop,
                colour: InputColour::Reference,
            })
            .unwrap(),
        ),
        ProviderKind::Local => panic!("it has no service"),
    }
}

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

impl Shared {
    fn record(&self, path: &str, client: SocketAddr, body: &Value) {
        let mut received = locked(&self.received);
        received.bodies.push((path.to_owned(), body.clone()));
        received.clients.insert(client);
    }

    /// The vector of an image, in the only form that the service takes.
    async fn image(&self, text: &str, prefix: &str) -> Result<Vec<f32>, String> {
        if self.reads_images_as_text {
            return text_vector(text).await;
        }
        let image = image(text, prefix)?;
        MODEL.embed_image(&image).await.map(|one| one.as_slice().to_vec()).map_err(|error| error.to_string())
    }
}

async fn text_vector(text: &str) -> Result<Vec<f32>, String> {
    MODEL.embed_text(text).await.map(|one| one.as_slice().to_vec()).map_err(|error| error.to_string())
}

/// Decodes a PNG in base64 after exactly this prefix.
fn image(text: &str, prefix: &str) -> Result<PreparedImage, String> {
    let base64 = text.strip_prefix(prefix).ok_or("no data URI")?;
    let png = STANDARD.decode(base64).map_err(|error| error.to_string())?;
    let decoded =
        image::load_from_memory_with_format(&png, image::ImageFormat::Png).map_err(|error| error.to_string())?;
    let (size, rgb) = (decoded.width(), Bytes::from(decoded.to_rgb8().into_raw()));
    Ok(PreparedImage { size, rgb })
}

fn strings(list: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().into_iter().flatten().map(text).collect()
}

/// The message with which a provider refused.
pub(crate) fn refusal<T>(outcome: Result<T, EmbedError>) -> String {
    match outcome {
        Err(EmbedError::ProbeFailed(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}
