//! Serves the model of this process as a CLIP service, with the API of `ai4all/clip` as its two known clients use it,
//! and with OpenAI's.
//! Depends on the embedding port and on images; does not depend on buckets, stores or jobs.
//!
//! | | |
//! |---|---|
//! | `POST /embedding/image` | `{"images": ["data:image/png;base64,…"]}` → `[{"image": "data:image/png;base64,", "vector": […]}]` |
//! | `POST /embedding/text` | `{"texts": ["a cat"], "lang": "en"}` → `[{"text": "a cat", "vector": […]}]`; `lang` is optional |
//! | `GET /` | `{"model", "dimension", "image_size", "resize", "preprocessing"}` |
//! | `POST /v1/embeddings`, `/embeddings` | as OpenAI's, extended for images like the server infinity: see `openai` |
//! | `GET /v1/models`, `/models` | the model, as in OpenAI's list |
//! | `GET /v1/models/{id}`, `/models/{id}` | the same entry alone |
//! | `GET /healthz` | `{"status": "ok"}` |
//! | `GET /readyz` | `{"status": "ready"}` after both towers have passed their probe |
//!
//! Replies are in the order of the inputs. The reply does not repeat an image, only the text before its data.
//! A request with one image has priority over a request with several. Images of concurrent requests are not put
//! together into one run of the model: it gains too little (`zarf/adr/0012`).

mod error;
mod limits;
mod openai;
mod vectors;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;

use crate::embed::ImageEmbeddingProvider;
use crate::imaging::Limits;
use crate::resilience::cores;

use error::ClipError;
use limits::{BodyBudget, limit_time};
use wire::{ImageVector, Images, ModelInfo, TextVector, Texts};

/// Maximum number of requests with one image that are embedded at the same time; further ones get 429.
const MAX_SINGLE_IMAGES: usize = 256;
/// `Retry-After` of a request that was refused because of a limit.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// State of the handlers. `vectors` has its methods.
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
    let budget = Arc::new(BodyBudget::new(&limits));
    let max_bytes = budget.max_bytes;
    Router::new()
        .route("/embedding/image", post(images))
        .route("/embedding/text", post(texts))
        .route("/embeddings", post(openai::embeddings))
        .route("/v1/embeddings", post(openai::embeddings))
        .layer(from_fn_with_state(budget, BodyBudget::admit))
        .route("/", get(model_info))
        .route("/models", get(openai::models))
        .route("/v1/models", get(openai::models))
        .route("/models/{*id}", get(openai::model))
        .route("/v1/models/{*id}", get(openai::model))
        .route("/readyz", get(readyz))
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .with_state(clip)
        .fallback(|uri: Uri| async move { ClipError::NoRoute(uri.path().to_owned()) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            ClipError::WrongMethod(method.to_string(), uri.path().to_owned())
        })
        .layer(DefaultBodyLimit::max(max_bytes))
        .layer(from_fn_with_state(max_bytes, limit_time))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| ClipError::Panicked.into_response()))
        .layer(from_fn(openai::shape_errors))
        .layer(TraceLayer::new_for_http())
}

async fn model_info(State(clip): State<ClipState>) -> Result<Json<ModelInfo>, ClipError> {
    Ok(Json(clip.model_info().await?))
}

async fn readyz(State(clip): State<ClipState>) -> Result<Json<serde_json::Value>, ClipError> {
    clip.provider.space().await?;
    Ok(Json(json!({"status": "ready"})))
}

async fn images(State(clip): State<ClipState>, body: Bytes) -> Result<Json<Vec<ImageVector>>, ClipError> {
    let images = move || wire::parse(&body).map(|Images { images }| images);
    let vectors = clip.image_vectors("images", images).await?;
    Ok(Json(vectors.into_iter().map(|(image, vector)| ImageVector { image, vector: vector.into() }).collect()))
}

async fn texts(State(clip): State<ClipState>, body: Bytes) -> Result<Json<Vec<TextVector>>, ClipError> {
    let Texts { texts, lang } = wire::parse(&body)?;
    let vectors = clip.text_vectors("texts", &texts, wire::parse_language(lang.as_deref())?).await?;
    Ok(Json(texts.into_iter().zip(vectors).map(|(text, vector)| TextVector { text, vector: vector.into() }).collect()))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
