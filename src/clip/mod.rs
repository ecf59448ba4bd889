//! The model of this process as a CLIP service for others: `ai4all/clip`'s API, as its two known clients speak it. Knows
//! the embedding port and images; knows nothing of buckets, indexes and jobs.
//!
//! | | |
//! |---|---|
//! | `POST /embedding/image` | `{"images": ["data:image/png;base64,…"]}` → `[{"image": "data:image/png;base64,", "vector": […]}]` |
//! | `POST /embedding/text` | `{"texts": ["a cat"]}` → `[{"text": "a cat", "vector": […]}]` |
//! | `GET /` | `{"model", "dimension", "image_size", "resize"}` |
//! | `GET /healthz` | `{"status": "ok"}` |
//! | `GET /readyz` | `{"status": "ready"}` once both towers have passed their probe |
//!
//! Answers are in the order of the inputs. The image is not repeated in the reply, only what stands before its data.
//! A image that comes alone goes ahead of those that come in company. Images of requests that come at once are gathered
//! into one run where the model gains by it: a ViT-B/32 in fp32 by a sixth, the built-in model and int8 not
//! (`zarf/adr/0005`), whose images wait for nobody.

mod error;
mod gather;
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
use crate::server::Arrival;

use error::ClipError;
use gather::Gather;
use wire::{Card, ImageVector, Images, TextVector, Texts};

/// Images or texts in one request.
const MAX_INPUTS: usize = 64;
/// How long a request may take, its body included.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Kilobytes of bodies that may be here at once, over all requests.
const BODIES_KB: u32 = 256 * 1024;
/// How long a request may wait for room.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// What the handlers work with.
#[derive(Clone)]
struct Clip {
    provider: Arc<dyn ImageEmbeddingProvider>,
    gather: Arc<Gather>,
    limits: Limits,
    /// One a core: images are decoded beside the model's own threads.
    cores: Arc<Semaphore>,
}

/// The service over `provider`, every route with every layer.
pub fn router(provider: Arc<dyn ImageEmbeddingProvider>, limits: Limits) -> Router {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let gather = Arc::new(Gather::new(provider.clone()));
    let clip = Clip { provider, gather, limits, cores: Arc::new(Semaphore::new(cores)) };
    let most = max_bytes(&limits);
    let room = Arc::new(Room { purse: Arc::new(Semaphore::new(BODIES_KB as usize)), most });
    Router::new()
        .route("/embedding/image", post(images))
        .route("/embedding/text", post(texts))
        .layer(from_fn_with_state(room, Room::enter))
        .route("/", get(card))
        .route("/readyz", get(readyz))
        .route("/healthz", get(|| async { Json(json!({"status": "ok"})) }))
        .with_state(clip)
        .fallback(|uri: Uri| async move { ClipError::NoRoute(uri.path().to_owned()) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            ClipError::WrongMethod(method.to_string(), uri.path().to_owned())
        })
        .layer(DefaultBodyLimit::max(most))
        .layer(from_fn(give_up))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| ClipError::Panicked.into_response()))
        .layer(TraceLayer::new_for_http())
}

/// One image as large as a image may be, in base64, or many smaller ones.
fn max_bytes(limits: &Limits) -> usize {
    let most = (limits.max_bytes / 3 + 1) * 4 + 1024 * 1024;
    usize::try_from(most.min(u64::from(BODIES_KB) * 1024)).unwrap_or(usize::MAX)
}

async fn card(State(clip): State<Clip>) -> Result<Json<Card>, ClipError> {
    let space = clip.provider.space().await?;
    let Preprocessing { size, resize } = clip.provider.preprocessing();
    Ok(Json(Card { model: space.model.clone(), dimension: space.dimension, image_size: size, resize: resize.name() }))
}

async fn readyz(State(clip): State<Clip>) -> Result<Json<serde_json::Value>, ClipError> {
    clip.provider.space().await?;
    Ok(Json(json!({"status": "ready"})))
}

async fn images(State(clip): State<Clip>, body: Bytes) -> Result<Json<Vec<ImageVector>>, ClipError> {
    // The model's square is known once it is proven.
    clip.provider.space().await?;
    let (limits, preprocessing) = (clip.limits, clip.provider.preprocessing());
    let core = clip.cores.clone().acquire_owned().await;
    let prepared = tokio::task::spawn_blocking(move || {
        let _core = core;
        prepare(&body, &limits, preprocessing)
    });
    let (heads, mut prepared): (Vec<String>, Vec<PreparedImage>) =
        prepared.await.map_err(|_| ClipError::Panicked)??.into_iter().unzip();
    let vectors = match (prepared.len(), prepared.pop()) {
        // Somebody searches, or sends one after the other.
        (1, Some(one)) => vec![clip.gather.embed(one).await?],
        (_, last) => {
            prepared.extend(last);
            clip.provider.embed_image_batch(&prepared).await?
        }
    };
    counted(heads.len(), &vectors)?;
    Ok(Json(
        heads.into_iter().zip(vectors).map(|(image, vector)| ImageVector { image, vector: vector.into() }).collect(),
    ))
}

async fn texts(State(clip): State<Clip>, body: Bytes) -> Result<Json<Vec<TextVector>>, ClipError> {
    let Texts { texts } = wire::parse(&body)?;
    few("texts", texts.len())?;
    let vectors = texts.iter().map(|text| clip.provider.embed_text(text));
    let vectors = futures::future::try_join_all(vectors).await?;
    Ok(Json(texts.into_iter().zip(vectors).map(|(text, vector)| TextVector { text, vector: vector.into() }).collect()))
}

/// The images of a body, each with what stands before its data.
fn prepare(
    body: &[u8],
    limits: &Limits,
    preprocessing: Preprocessing,
) -> Result<Vec<(String, PreparedImage)>, ClipError> {
    let Images { images } = wire::parse(body)?;
    few("images", images.len())?;
    let prepared = images.iter().enumerate().map(|(place, text)| {
        let (head, bytes) = wire::data_uri(text).map_err(|problem| ClipError::Input { place, problem })?;
        let prepared = imaging::prepare(&bytes, limits, &preprocessing);
        let prepared = prepared.map_err(|error| ClipError::Input { place, problem: error.to_string() })?;
        Ok((head.to_owned(), prepared.image))
    });
    prepared.collect()
}

fn few(what: &'static str, count: usize) -> Result<(), ClipError> {
    if count > MAX_INPUTS { Err(ClipError::TooMany { what, count, most: MAX_INPUTS }) } else { Ok(()) }
}

fn counted(sent: usize, vectors: &[Embedding]) -> Result<(), ClipError> {
    let got = vectors.len();
    if got == sent { Ok(()) } else { Err(EmbedError::WrongCount { sent, got }.into()) }
}

/// Room for bodies, taken before the first of their bytes is read.
struct Room {
    purse: Arc<Semaphore>,
    most: usize,
}

impl Room {
    async fn enter(State(room): State<Arc<Self>>, request: Request, next: Next) -> Response {
        let length =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        // One that does not say its length may become as long as any.
        let bytes: usize = length.unwrap_or(room.most).min(room.most);
        let kilobytes = u32::try_from(bytes / 1024 + 1).unwrap_or(BODIES_KB).min(BODIES_KB);
        match tokio::time::timeout(ROOM_WAIT, room.purse.acquire_many(kilobytes)).await {
            Ok(Ok(_held)) => next.run(request).await,
            Ok(Err(_)) | Err(_) => ClipError::Busy(Duration::from_secs(1)).into_response(),
        }
    }
}

async fn give_up(request: Request, next: Next) -> Response {
    let (request, arrival) = Arrival::watch(request);
    let response = tokio::time::timeout(TIMEOUT, next.run(request)).await;
    let response = response.unwrap_or_else(|_| match arrival.waits_for() {
        Some(_) => ClipError::BodyTooSlow.into_response(),
        None => ClipError::TooSlow.into_response(),
    });
    // What axum itself refuses has words, but no JSON.
    let of_ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE if !of_ours => ClipError::TooLarge.into_response(),
        status if status.is_client_error() && !of_ours => ClipError::Unreadable(status).into_response(),
        _ => response,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
