//! `/images/{id}/thumbnail`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionParam;
use crate::api::http::caching::{CACHE_POLICY, if_none_match};
use crate::api::http::{ApiError, ErrorReply, Path, Query};
use crate::api::{AppState, Defaults};
use crate::images::{Images, Thumbnails};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_thumbnail))
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
    Query(params): Query<CollectionParam>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, record) = images.get(&id, &params.or_default(&defaults)).await?;
    let cached = |etag: &str| [(header::ETAG, format!("\"{etag}\"")), (header::CACHE_CONTROL, CACHE_POLICY.to_owned())];
    let indexed_etag = Thumbnails::etag(&record);
    if if_none_match(&headers, &indexed_etag) {
        return Ok((StatusCode::NOT_MODIFIED, cached(&indexed_etag)).into_response());
    }
    let thumbnail = images.thumbnail(&record).await?;
    let kind = [(header::CONTENT_TYPE, "image/jpeg")];
    Ok((cached(&thumbnail.etag), kind, thumbnail.bytes).into_response())
}
