//! `/images/{id}/thumbnail` and `/images/{id}/preview`.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionParam;
use crate::api::http::caching::{CACHE_POLICY, if_none_match};
use crate::api::http::{ApiError, ErrorReply, FileBytes, Path, Query};
use crate::api::{AppState, Defaults};
use crate::images::{Images, PreviewSide, Thumbnail, Thumbnails};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_thumbnail)).routes(routes!(get_preview))
}

/// Return the thumbnail of an image: an upright JPEG of at most 256 x 256 pixels, without metadata.
#[utoipa::path(get, path = "/images/{id}/thumbnail", tag = "images", params(("id" = String, Path, format = Uuid), CollectionParam),
    responses((status = 200, description = "the thumbnail", content_type = "image/jpeg", body = inline(FileBytes)),
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
    let indexed_etag = Thumbnails::etag(&record);
    if if_none_match(&headers, &indexed_etag) {
        return Ok(not_modified(&indexed_etag));
    }
    Ok(jpeg(images.thumbnail(&record).await?))
}

/// The query parameters of a preview.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PreviewParams {
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[param(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    collection: Option<String>,
    /// Side in pixels of the square that the preview fits into, 256 to 1440. It is rounded up to 256, 512, 1024 or 1440.
    #[serde(default = "max_side")]
    #[param(default = 1440, minimum = 256, maximum = 1440)]
    size: u32,
}

fn max_side() -> u32 {
    PreviewSide::MAX
}

/// Return a preview of an image: an upright JPEG in sRGB of at most `size` x `size` pixels, without metadata.
///
/// It is made from the object when it is requested, and cached. A smaller image is not enlarged.
#[utoipa::path(get, path = "/images/{id}/preview", tag = "images", params(("id" = String, Path, format = Uuid), PreviewParams),
    responses((status = 200, description = "the preview", content_type = "image/jpeg", body = inline(FileBytes)),
        (status = 304, description = "not modified: the ETag is in `If-None-Match`"), (status = 404, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 429, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn get_preview(
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(PreviewParams { collection, size }): Query<PreviewParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let side = PreviewSide::new(size).ok_or_else(|| {
        let message = format!("must be {} to {}, not {size}", PreviewSide::MIN, PreviewSide::MAX);
        ApiError::invalid("size", message)
    })?;
    let (_, record) = images.get(&id, &CollectionParam { collection }.or_default(&defaults)).await?;
    let indexed_etag = Thumbnails::preview_etag(&record, side);
    if if_none_match(&headers, &indexed_etag) {
        return Ok(not_modified(&indexed_etag));
    }
    Ok(jpeg(images.preview(&record, side).await?))
}

fn jpeg(Thumbnail { bytes, etag }: Thumbnail) -> Response {
    (cached(&etag), [(header::CONTENT_TYPE, "image/jpeg")], bytes).into_response()
}

fn not_modified(etag: &str) -> Response {
    (StatusCode::NOT_MODIFIED, cached(etag)).into_response()
}

fn cached(etag: &str) -> [(HeaderName, String); 2] {
    [(header::ETAG, format!("\"{etag}\"")), (header::CACHE_CONTROL, CACHE_POLICY.to_owned())]
}
