//! The API of OpenAI for embeddings, extended for images like the server infinity: an image is a data URI, and
//! `"modality": "image"` says that the inputs are images.
//!
//! `usage` counts the characters of texts, as infinity does by default, and 0 for images.

mod wire;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::ClipState;
use super::error::{ClipError, ErrorDetails};
use super::wire::parse_language;
use crate::domain::Embedding;
use wire::{EmbeddingList, EmbeddingRequest, Encoding, ErrorReply, Modality, Model, ModelList, Numbers};

/// Lists the model. The entry describes its images, so that a client can prepare them as the service does.
pub(super) async fn models(State(clip): State<ClipState>) -> Result<Json<ModelList>, ClipError> {
    Ok(Json(ModelList::new(clip.model_info().await?)))
}

/// Describes the model, if it has this id. An id of a hub has a `/`.
pub(super) async fn model(
    State(clip): State<ClipState>,
    Path(requested): Path<String>,
) -> Result<Json<Model>, ClipError> {
    let info = clip.model_info().await?;
    if info.model != requested {
        return Err(ClipError::UnknownModel { requested, served: info.model });
    }
    Ok(Json(Model::new(info)))
}

/// Embeds texts or images.
pub(super) async fn embeddings(State(clip): State<ClipState>, body: Bytes) -> Result<Json<EmbeddingList>, ClipError> {
    // The base64 of images may have many megabytes.
    let request = tokio::task::spawn_blocking(move || super::wire::parse::<EmbeddingRequest>(&body));
    let request = request.await.map_err(|_| ClipError::Panicked)??;
    let space = clip.provider.space().await?;
    request.check(&space)?;
    let EmbeddingRequest { input, modality, encoding_format, lang, .. } = request;
    let lang = parse_language(lang.as_deref())?;
    let characters = match modality {
        Some(Modality::Image) => 0,
        Some(Modality::Text) | None => input.0.iter().map(|text| text.chars().count()).sum(),
    };
    let vectors: Vec<Embedding> = match modality {
        Some(Modality::Image) => {
            let vectors = clip.image_vectors("input", move || Ok(input.0)).await?;
            vectors.into_iter().map(|(_, vector)| vector).collect()
        }
        Some(Modality::Text) | None => clip.text_vectors("input", &input.0, lang).await?,
    };
    let numbers = vectors.into_iter().map(|vector| match encoding_format.unwrap_or_default() {
        Encoding::Float => Numbers::Float(vector.into()),
        Encoding::Base64 => Numbers::base64(&vector),
    });
    Ok(Json(EmbeddingList::new(numbers, space.model.clone(), characters)))
}

/// Middleware that gives the error replies of these routes the shape of OpenAI's.
pub(super) async fn shape_errors(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_openai = ["/v1/", "/models/"].iter().any(|begin| path.starts_with(begin));
    let is_openai = is_openai || matches!(path, "/embeddings" | "/models");
    let response = next.run(request).await;
    match response.extensions().get::<ErrorDetails>() {
        Some(details) if is_openai => {
            let body = Json(ErrorReply::new(response.status(), details));
            let mut shaped = (response.status(), body).into_response();
            let retry_after = response.headers().get(RETRY_AFTER).cloned();
            shaped.headers_mut().extend(retry_after.map(|wait| (RETRY_AFTER, wait)));
            shaped
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests;
