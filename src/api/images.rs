//! `/images`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, ErrorReply};
use super::extract::{Path, Query};
use super::replies::{DeletedReply, ImageReply};
use super::{AppState, Defaults};
use crate::images::{Images, Thumbnails};
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_image, delete_image)).routes(routes!(get_thumbnail))
}

/// The query parameter of the routes of one image.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CollectionParam {
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[param(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    collection: Option<String>,
}

impl CollectionParam {
    pub(super) fn or(self, defaults: &Defaults) -> String {
        self.collection.unwrap_or_else(|| defaults.collection.to_string())
    }
}

/// Return the record of one indexed image.
#[utoipa::path(get, path = "/images/{id}", tag = "images", params(("id" = String, Path, format = Uuid), CollectionParam),
    responses((status = 200, body = ImageReply), (status = 404, body = ErrorReply)))]
async fn get_image(
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(place): Query<CollectionParam>,
) -> Result<axum::Json<ImageReply>, ApiError> {
    let (collection, record) = images.get(&id, &place.or(&defaults)).await?;
    Ok(axum::Json(ImageReply::of(&collection, record)))
}

/// Return the thumbnail of an image: an upright JPEG of at most 256 x 256 pixels, without metadata.
#[utoipa::path(get, path = "/images/{id}/thumbnail", tag = "images", params(("id" = String, Path, format = Uuid), CollectionParam),
    responses((status = 200, description = "the thumbnail", content_type = "image/jpeg", body = Vec<u8>),
        (status = 304, description = "not modified: the ETag is in `If-None-Match`"), (status = 404, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 429, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn get_thumbnail(
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(place): Query<CollectionParam>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, record) = images.get(&id, &place.or(&defaults)).await?;
    let cached = |etag: &str| [(header::ETAG, format!("\"{etag}\"")), (header::CACHE_CONTROL, CACHE_POLICY.to_owned())];
    let known = Thumbnails::etag(&record);
    if has(&headers, &known) {
        return Ok((StatusCode::NOT_MODIFIED, cached(&known)).into_response());
    }
    let thumbnail = images.thumbnail(&record).await?;
    let kind = [(header::CONTENT_TYPE, "image/jpeg")];
    Ok((cached(&thumbnail.etag), kind, thumbnail.bytes).into_response())
}

/// `Cache-Control` of images. They are private, because a search needs a key. After 300 s the browser asks whether the
/// image was changed.
pub(super) const CACHE_POLICY: &str = "private, max-age=300";

/// Whether `If-None-Match` contains this ETag.
pub(super) fn has(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given
        .split(',')
        .map(|one| one.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|one| one == etag || one == "*")
}

/// Remove the record of one image. The object stays in the bucket, and the next job indexes it again.
#[utoipa::path(delete, path = "/images/{id}", tag = "images", params(("id" = String, Path, format = Uuid), CollectionParam),
    responses((status = 200, body = DeletedReply), (status = 404, body = ErrorReply)))]
async fn delete_image(
    State(images): State<Images>,
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(place): Query<CollectionParam>,
) -> Result<axum::Json<DeletedReply>, ApiError> {
    let (collection, record) = images.get(&id, &place.or(&defaults)).await?;
    // The ledger first: after a crash in between, the image is read again. The other order would leave a wrong ledger
    // entry.
    jobs.forget(&collection, &record.uri).await?;
    images.delete(record.id, &collection).await?;
    Ok(axum::Json(DeletedReply { id: record.id.to_string(), status: "deleted".to_owned() }))
}
