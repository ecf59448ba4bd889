//! Embedding services over real HTTP, in the JSON of REFERENCE.md, as strict as the real ones, with real vectors from the
//! built-in model.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
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
use glimpse::imaging::{PreparedImage, Resize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// The model behind all of them.
pub(crate) static MODEL: LazyLock<LocalProvider> =
    LazyLock::new(|| LocalProvider::start(NonZeroUsize::new(2).unwrap()).unwrap());

/// The side that it takes.
pub(crate) const SIZE: u32 = 260;

/// What OpenAI's clients must ask for.
pub(crate) const OPENAI_MODEL: &str = "glimpse/mini-1";

/// Text of more words than this is an error at multi2vec, whose model reads 77 tokens.
const MOST_WORDS: usize = 60;

/// What a fake has seen of its clients.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) bodies: Vec<(String, Value)>,
    pub(crate) clients: BTreeSet<SocketAddr>,
}

/// A running service.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Seen>>,
    _task: AbortOnDropHandle<()>,
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<Seen>>,
    /// Reads pictures as words, as a service does that does not know `modality`.
    is_blind: bool,
}

impl Service {
    pub(crate) async fn of(kind: ProviderKind) -> Self {
        Self::start(kind, false).await
    }

    /// One that reads what stands for a picture as words.
    pub(crate) async fn blind(kind: ProviderKind) -> Self {
        Self::start(kind, true).await
    }

    async fn start(kind: ProviderKind, is_blind: bool) -> Self {
        let router = match kind {
            ProviderKind::Clip => Router::new()
                .route("/", get(clip_card))
                .route("/embedding/image", post(clip_images))
                .route("/embedding/text", post(clip_texts)),
            ProviderKind::OpenAi => {
                Router::new().route("/v1/embeddings", post(openai)).route("/v1/models", get(openai_models))
            }
            ProviderKind::Multi2Vec => Router::new().route("/vectorize", post(multi2vec)),
            ProviderKind::Ollama => Router::new()
                .route("/api/show", post(ollama_show))
                .route("/api/chat", post(ollama_chat))
                .route("/api/embed", post(ollama_embed)),
            ProviderKind::Local => panic!("it has no service"),
        };
        let seen = Arc::new(Mutex::new(Seen::default()));
        let router = router.with_state(Shared { seen: seen.clone(), is_blind }).layer(DefaultBodyLimit::max(1 << 26));
        let (base, task) = serve(router).await;
        let url = if kind == ProviderKind::OpenAi { format!("{base}/v1") } else { base };
        Self { url, seen, _task: task }
    }

    /// The pictures that each request brought.
    pub(crate) fn batches(&self) -> Vec<usize> {
        let seen = self.seen.lock().unwrap();
        let pictures = |body: &Value| ["images", "input"].iter().find_map(|name| Some(body[name].as_array()?.len()));
        let mut batches: Vec<_> = seen.bodies.iter().filter_map(|(_, body)| pictures(body)).collect();
        batches.sort_unstable_by(|a, b| b.cmp(a));
        batches
    }
}

/// Serves on a free port until the handle is dropped.
pub(crate) async fn serve(router: Router) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    (url, AbortOnDropHandle::new(task))
}

/// The adapter of this kind for the service at `url`, prepared for pictures of `size` where it must be told.
pub(crate) fn provider(
    kind: ProviderKind,
    url: &str,
    size: Option<u32>,
    timeout: Duration,
) -> Box<dyn ImageEmbeddingProvider> {
    let service = ServiceSettings { url: url.to_owned(), key: Secret::new("key"), timeout };
    let remote = || RemoteSettings {
        service: service.clone(),
        model: OPENAI_MODEL.to_owned(),
        max_batch: NonZeroUsize::new(4).unwrap(),
        size,
        resize: Resize::Crop,
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
            })
            .unwrap(),
        ),
        ProviderKind::Local => panic!("it has no service"),
    }
}

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

impl Shared {
    fn see(&self, path: &str, client: SocketAddr, body: &Value) {
        let mut seen = self.seen.lock().unwrap();
        seen.bodies.push((path.to_owned(), body.clone()));
        seen.clients.insert(client);
    }

    /// The vector of a picture, in the only form that the service takes.
    async fn image(&self, text: &str, prefix: &str) -> Result<Vec<f32>, String> {
        if self.is_blind {
            return words(text).await;
        }
        let image = picture(text, prefix)?;
        MODEL.embed_image(&image).await.map(|one| one.as_slice().to_vec()).map_err(|error| error.to_string())
    }
}

async fn words(text: &str) -> Result<Vec<f32>, String> {
    MODEL.embed_text(text).await.map(|one| one.as_slice().to_vec()).map_err(|error| error.to_string())
}

/// A PNG in base64 behind exactly this prefix.
fn picture(text: &str, prefix: &str) -> Result<PreparedImage, String> {
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

const DATA_URI: &str = "data:image/png;base64,";

async fn clip_card() -> Json<Value> {
    Json(json!({"model": "glimpse-mini-1", "dimension": 512, "image_size": SIZE, "resize": "crop"}))
}

async fn clip_images(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    shared.see("/embedding/image", client, &body);
    let mut answers = Vec::new();
    for text in strings(&body["images"]) {
        let vector = shared.image(&text, DATA_URI).await.map_err(detail)?;
        // It repeats its input.
        answers.push(json!({"image": text, "vector": vector}));
    }
    Ok(Json(answers.into()))
}

async fn clip_texts(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    shared.see("/embedding/text", client, &body);
    let mut answers = Vec::new();
    for text in strings(&body["texts"]) {
        answers.push(json!({"text": text, "vector": words(&text).await.map_err(detail)?}));
    }
    Ok(Json(answers.into()))
}

fn detail(reason: impl Into<Value>) -> (StatusCode, Json<Value>) {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"detail": reason.into()})))
}

async fn openai_models() -> Json<Value> {
    Json(json!({"data": [{"id": OPENAI_MODEL, "object": "model"}], "object": "list"}))
}

async fn openai(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    headers: axum::http::HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    shared.see("/embeddings", client, &body);
    let refuse = |status: StatusCode, reason: String| {
        let code = status.as_u16();
        (status, Json(json!({"error": {"message": reason, "type": null, "param": null, "code": code}})))
    };
    if headers.get("authorization").is_none_or(|key| key != "Bearer key") {
        return Err(refuse(StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()));
    }
    if body["model"] != OPENAI_MODEL {
        return Err(refuse(StatusCode::BAD_REQUEST, format!("Invalid model: {}", body["model"])));
    }
    let input = strings(&body["input"]);
    let pictures = body["modality"] == "image";
    if pictures && input.len() > 32 {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "at most 32".to_owned()));
    }
    let mut data = Vec::new();
    for (index, text) in input.iter().enumerate() {
        // Without `modality` all is text.
        let vector = if pictures { shared.image(text, DATA_URI).await } else { words(text).await };
        let vector = vector.map_err(|reason| refuse(StatusCode::BAD_REQUEST, reason))?;
        data.push(json!({"object": "embedding", "embedding": vector, "index": index}));
    }
    // In any order: that is what `index` is for.
    data.reverse();
    let usage = json!({"prompt_tokens": 0, "total_tokens": 0});
    Ok(Json(
        json!({"object": "list", "data": data, "model": OPENAI_MODEL, "usage": usage, "id": "infinity-1", "created": 1}),
    ))
}

async fn multi2vec(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    shared.see("/vectorize", client, &body);
    let failed = |reason: String| (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": reason})));
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for text in strings(&body["texts"]) {
        let is_long = text.split_whitespace().count() > MOST_WORDS || text.len() > 5 * MOST_WORDS;
        if is_long && !shared.is_blind {
            return Err(failed("index out of range in self".to_owned()));
        }
        // Some of its kinds give vectors that are not of unit length.
        let vector: Vec<f32> = words(&text).await.map_err(failed)?.iter().map(|value| value * 11.0).collect();
        texts.push(vector);
    }
    for text in strings(&body["images"]) {
        images.push(shared.image(&text, "").await.map_err(failed)?);
    }
    Ok(Json(json!({"textVectors": texts, "imageVectors": images})))
}

async fn ollama_show(Json(body): Json<Value>) -> Answer {
    let capabilities = match body["model"].as_str().unwrap() {
        "llava" => vec!["completion", "vision"],
        "nomic-embed-text" => vec!["embedding"],
        model => {
            let error = format!("model '{model}' not found");
            return Err((StatusCode::NOT_FOUND, Json(json!({"error": error}))));
        }
    };
    Ok(Json(json!({"modelfile": "…", "capabilities": capabilities})))
}

/// Captions that differ from picture to picture: words chosen by the pixels.
async fn ollama_chat(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    const WORDS: [&str; 16] = [
        "cat", "car", "boat", "tree", "bread", "bridge", "horse", "snow", "apple", "tower", "guitar", "river", "child",
        "clock", "rocket", "shoe",
    ];
    shared.see("/api/chat", client, &body);
    let bad = |error: String| (StatusCode::BAD_REQUEST, Json(json!({"error": error})));
    if body["stream"] != false {
        return Err(bad("only without stream".to_owned()));
    }
    let message = &body["messages"][0];
    let [text] = &strings(&message["images"])[..] else { return Err(bad("one picture".to_owned())) };
    let sum = Sha256::digest(&picture(text, "").map_err(bad)?.rgb);
    let chosen: Vec<_> = sum.iter().take(4).map(|byte| WORDS[usize::from(byte % 16)]).collect();
    let content = format!(" A {} beside a {}, a {} and a {}.\n", chosen[0], chosen[1], chosen[2], chosen[3]);
    Ok(Json(json!({"model": body["model"], "message": {"role": "assistant", "content": content}, "done": true})))
}

async fn ollama_embed(
    State(shared): State<Shared>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Json(body): Json<Value>,
) -> Answer {
    shared.see("/api/embed", client, &body);
    let mut vectors = Vec::new();
    for text in strings(&body["input"]) {
        vectors.push(words(&text).await.map_err(|error| (StatusCode::BAD_REQUEST, Json(json!({"error": error}))))?);
    }
    Ok(Json(json!({"model": body["model"], "embeddings": vectors, "total_duration": 1, "load_duration": 1})))
}

/// What a provider refused, in words.
pub(crate) fn refusal<T>(outcome: Result<T, EmbedError>) -> String {
    match outcome {
        Err(EmbedError::ProbeFailed(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}
