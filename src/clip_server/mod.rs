//! Serves the model of this process as a CLIP service, with the API of `ai4all/clip` as its two known clients use it.
//! Depends on the embedding port and on images; does not depend on buckets, stores or jobs.
//!
//! | | |
//! |---|---|
//! | `POST /embedding/image` | `{"images": ["data:image/png;base64,…"]}` → `[{"image": "data:image/png;base64,", "vector": […]}]` |
//! | `POST /embedding/text` | `{"texts": ["a cat"]}` → `[{"text": "a cat", "vector": […]}]` |
//! | `GET /` | `{"model", "dimension", "image_size", "resize", "preprocessing"}` |
//! | `GET /healthz` | `{"status": "ok"}` |
//! | `GET /readyz` | `{"status": "ready"}` after both towers have passed their probe |
//!
//! Replies are in the order of the inputs. The reply does not repeat an image, only the text before its data.
//! A request with one image has priority over a request with several. Images of concurrent requests are not put
//! together into one run of the model: it gains too little (`zarf/adr/0012`).

mod error;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;

use crate::domain::Embedding;
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::imaging::{self, Limits, PreparedImage, Preprocessing};
use crate::resilience::cores;
use crate::server::BodyProgress;

use error::ClipError;
use wire::{ImageVector, Images, ModelInfo, TextVector, Texts};

/// Maximum number of images or texts in one request.
const MAX_INPUTS: usize = 64;
/// Maximum number of requests with one image that are embedded at the same time; further ones get 429.
const MAX_SINGLE_IMAGES: usize = 256;
/// `Retry-After` of a request that was refused because of a limit.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Maximum duration of a request, including its body.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);
/// Maximum total size in kilobytes of the bodies in memory, over all requests.
const MAX_BODIES_KB: u32 = 256 * 1024;
/// How long a request may wait until the budget has room for its body.
const BUDGET_WAIT: Duration = Duration::from_secs(5);

/// State of the handlers.
#[derive(Clone)]
struct ClipState {
    provider: Arc<dyn ImageEmbeddingProvider>,
    limits: Limits,
    /// Limits the requests with one image.
    single_images: Arc<Semaphore>,
    /// One permit for each core, because decoding competes with the threads of the model.
    cores: Arc<Semaphore>,
}

/// Returns the router of the service for `provider`, with all routes and layers.
pub fn router(provider: Arc<dyn ImageEmbeddingProvider>, limits: Limits) -> Router {
    let single_images = Arc::new(Semaphore::new(MAX_SINGLE_IMAGES));
    let clip = ClipState { provider, limits, single_images, cores: Arc::new(Semaphore::new(cores().get())) };
    let max_bytes = max_body_bytes(&limits);
    let budget = Arc::new(BodyBudget { permits: Arc::new(Semaphore::new(MAX_BODIES_KB as usize)), max_bytes });
    Router::new()
        .route("/embedding/image", post(images))
        .route("/embedding/text", post(texts))
        .layer(from_fn_with_state(budget, BodyBudget::admit))
        .route("/", get(model_info))
        .route("/readyz", get(readyz))
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .with_state(clip)
        .fallback(|uri: Uri| async move { ClipError::NoRoute(uri.path().to_owned()) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            ClipError::WrongMethod(method.to_string(), uri.path().to_owned())
        })
        .layer(DefaultBodyLimit::max(max_bytes))
        .layer(from_fn(limit_time))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| ClipError::Panicked.into_response()))
        .layer(TraceLayer::new_for_http())
}

/// Maximum bytes of a body: one image of the maximum size in base64 and 1 MiB for the rest, or several smaller images.
fn max_body_bytes(limits: &Limits) -> usize {
    let max_bytes = (limits.max_bytes / 3 + 1) * 4 + 1024 * 1024;
    usize::try_from(max_bytes.min(u64::from(MAX_BODIES_KB) * 1024)).unwrap_or(usize::MAX)
}

async fn model_info(State(clip): State<ClipState>) -> Result<Json<ModelInfo>, ClipError> {
    let space = clip.provider.space().await?;
    let preprocessing = clip.provider.preprocessing();
    Ok(Json(ModelInfo {
        model: space.model.clone(),
        dimension: space.dimension,
        image_size: preprocessing.size,
        resize: preprocessing.resize.name(),
        preprocessing: space.preprocessing.clone(),
    }))
}

async fn readyz(State(clip): State<ClipState>) -> Result<Json<serde_json::Value>, ClipError> {
    clip.provider.space().await?;
    Ok(Json(json!({"status": "ready"})))
}

async fn images(State(clip): State<ClipState>, body: Bytes) -> Result<Json<Vec<ImageVector>>, ClipError> {
    // The size of the model's square is final only after the space is verified.
    clip.provider.space().await?;
    let (limits, preprocessing) = (clip.limits, clip.provider.preprocessing());
    let core = clip.cores.clone().acquire_owned().await;
    let prepared = tokio::task::spawn_blocking(move || {
        let _core = core;
        prepare(&body, &limits, preprocessing)
    });
    let (prefixes, mut prepared): (Vec<String>, Vec<PreparedImage>) =
        prepared.await.map_err(|_| ClipError::Panicked)??.into_iter().unzip();
    let vectors = match (prepared.len(), prepared.pop()) {
        // A single image: a search, or a client that sends its images one after the other.
        (1, Some(one)) => {
            let _permit = clip.single_images.try_acquire().map_err(|_| ClipError::Busy(RETRY_AFTER))?;
            vec![clip.provider.embed_image(&one).await?]
        }
        (_, last) => {
            prepared.extend(last);
            clip.provider.embed_image_batch(&prepared).await?
        }
    };
    check_vector_count(prefixes.len(), &vectors)?;
    Ok(Json(
        prefixes.into_iter().zip(vectors).map(|(image, vector)| ImageVector { image, vector: vector.into() }).collect(),
    ))
}

async fn texts(State(clip): State<ClipState>, body: Bytes) -> Result<Json<Vec<TextVector>>, ClipError> {
    let Texts { texts } = wire::parse(&body)?;
    check_count("texts", texts.len())?;
    let vectors = texts.iter().map(|text| clip.provider.embed_text(text));
    let vectors = futures::future::try_join_all(vectors).await?;
    Ok(Json(texts.into_iter().zip(vectors).map(|(text, vector)| TextVector { text, vector: vector.into() }).collect()))
}

/// Returns the prepared images of a body, each with the text before its data.
fn prepare(
    body: &[u8],
    limits: &Limits,
    preprocessing: Preprocessing,
) -> Result<Vec<(String, PreparedImage)>, ClipError> {
    let Images { images } = wire::parse(body)?;
    check_count("images", images.len())?;
    let prepared = images.iter().enumerate().map(|(index, text)| {
        let (prefix, bytes) = wire::data_uri(text).map_err(|problem| ClipError::Input { index, problem })?;
        let prepared = imaging::prepare(&bytes, limits, &preprocessing);
        let prepared = prepared.map_err(|error| ClipError::Input { index, problem: error.to_string() })?;
        Ok((prefix.to_owned(), prepared.image))
    });
    prepared.collect()
}

fn check_count(what: &'static str, count: usize) -> Result<(), ClipError> {
    if count > MAX_INPUTS { Err(ClipError::TooMany { what, count, max: MAX_INPUTS }) } else { Ok(()) }
}

fn check_vector_count(sent: usize, vectors: &[Embedding]) -> Result<(), ClipError> {
    let got = vectors.len();
    if got == sent { Ok(()) } else { Err(EmbedError::WrongCount { sent, got }.into()) }
}

/// Limits the memory for bodies. A request takes its share before the first byte of its body is read.
struct BodyBudget {
    permits: Arc<Semaphore>,
    max_bytes: usize,
}

impl BodyBudget {
    async fn admit(State(budget): State<Arc<Self>>, request: Request, next: Next) -> Response {
        let length =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        // Without `Content-Length` the body may be as long as the limit.
        let bytes: usize = length.unwrap_or(budget.max_bytes).min(budget.max_bytes);
        let kilobytes = u32::try_from(bytes / 1024 + 1).unwrap_or(MAX_BODIES_KB).min(MAX_BODIES_KB);
        match tokio::time::timeout(BUDGET_WAIT, budget.permits.acquire_many(kilobytes)).await {
            Ok(Ok(_permit)) => next.run(request).await,
            Ok(Err(_)) | Err(_) => ClipError::Busy(RETRY_AFTER).into_response(),
        }
    }
}

async fn limit_time(request: Request, next: Next) -> Response {
    let (request, progress) = BodyProgress::track(request);
    let response = tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await;
    let response = response.unwrap_or_else(|_| match progress.waiting_time() {
        Some(_) => ClipError::BodyTooSlow.into_response(),
        None => ClipError::TooSlow.into_response(),
    });
    // Errors of axum itself are plain text, not JSON.
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE if !is_json => ClipError::TooLarge.into_response(),
        status if status.is_client_error() && !is_json => ClipError::Unreadable(status).into_response(),
        _ => response,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
