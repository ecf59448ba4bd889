//! `/search/images`.

mod composite;
mod error;
mod params;
mod reply;
mod upload_form;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::http::{ApiError, ErrorReply, Query, is_json, parse_described, read_up_to};
use super::{AppState, Defaults};
use crate::search::{MAX_IMAGES, QueryImage, QueryInput, Search};

use params::{Pairs, SearchParams};
use reply::SearchInput;
use upload_form::ImageForm;

pub use composite::{CompositeQuery, FilterRequest, TermRequest};
pub use reply::{DuplicateReply, ResultReply, SearchReply, TookReply};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    // The handler limits the size of each field of the form itself.
    OpenApiRouter::new().routes(routes!(search_by_text, search_by_image)).layer(DefaultBodyLimit::disable())
}

/// An image and, optionally, a text.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the multipart body to readers of the API")]
struct ImageQuery {
    /// The image: JPEG, PNG, WebP or GIF, at most `IMAGE_MAX_SIZE_MB`.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// A text; the results are similar to both the image and the text.
    q: Option<String>,
}

/// Find images by a text, by an indexed image, or by both.
#[utoipa::path(get, path = "/search/images", tag = "search", params(SearchParams),
    responses((status = 200, body = SearchReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 429, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn search_by_text(
    State(search): State<Search>,
    State(defaults): State<Defaults>,
    Query(params): Query<SearchParams>,
    Query(pairs): Query<Pairs>,
) -> Result<axum::Json<SearchReply>, ApiError> {
    let query = QueryInput::new(params.q.clone(), None, params.like.clone());
    let input = SearchInput { query: params.q.clone(), file: None, like: params.like.clone() };
    let options = params.into_options(&pairs, &defaults)?;
    let answer = search.search(query, options).await?;
    Ok(axum::Json(SearchReply::new(answer, input)))
}

/// Find images by an uploaded image, or by several texts and images.
///
/// With a form, the query parameters are the same as those of the search by text. With JSON, everything is in the body.
#[utoipa::path(post, path = "/search/images", tag = "search", params(SearchParams),
    request_body(content((ImageQuery = "multipart/form-data"), (CompositeQuery = "application/json"))),
    responses((status = 200, body = SearchReply), (status = 400, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 413, body = ErrorReply), (status = 415, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 429, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn search_by_image(
    State(search): State<Search>,
    State(defaults): State<Defaults>,
    Query(params): Query<SearchParams>,
    Query(pairs): Query<Pairs>,
    request: Request,
) -> Result<axum::Json<SearchReply>, ApiError> {
    // Before the body is read, so that waiting uploads use no memory.
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if is_json(request.headers()) {
        if let Some((name, _)) = pairs.first() {
            return Err(ApiError::invalid(name, "must be in the JSON body, and not in the query string"));
        }
        return search_by_terms(&search, &defaults, length, request).await;
    }
    upload_form::check_content_type(request.headers())?;
    let permit = search.admit_upload(length, 1).await?;
    let ImageForm { image, file_name, text } =
        upload_form::read(request, defaults.max_image_bytes, params.q.is_some()).await?;
    let text = text.or_else(|| params.q.clone());
    let image = QueryImage { bytes: image, permit: Some(Arc::new(permit)) };
    let query = QueryInput::new(text.clone(), Some(image), params.like.clone());
    let input = SearchInput { query: text, file: file_name, like: params.like.clone() };
    let options = params.into_options(&pairs, &defaults)?;
    let answer = search.search(query, options).await?;
    Ok(axum::Json(SearchReply::new(answer, input)))
}

/// Searches with a JSON body of `length` bytes.
async fn search_by_terms(
    search: &Search,
    defaults: &Defaults,
    length: Option<u64>,
    request: Request,
) -> Result<axum::Json<SearchReply>, ApiError> {
    // The body and its decoded images are in memory at the same time.
    let bytes = length.map(|length| length.saturating_mul(7) / 4);
    let permit = search.admit_upload(bytes, MAX_IMAGES as u64).await?;
    let (headers, body) = read_up_to(request, composite::max_body_bytes(defaults.max_image_bytes)).await?;
    let query: CompositeQuery = parse_described(&headers, &body)?;
    drop(body);
    let (query, options) = query.into_query(permit, defaults)?;
    let answer = search.search(query, options).await?;
    Ok(axum::Json(SearchReply::new(answer, SearchInput { query: None, file: None, like: None })))
}
