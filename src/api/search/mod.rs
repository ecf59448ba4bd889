//! `/search/images`.

mod error;
mod params;
mod reply;
mod upload_form;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::http::{ApiError, ErrorReply, Query};
use super::{AppState, Defaults};
use crate::search::{QueryImage, QueryInput, Search};

use params::{Pairs, SearchParams};
use reply::SearchInput;
use upload_form::ImageForm;

pub use reply::{ResultReply, SearchReply, TookReply};

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
    let query = QueryInput { text: params.q.clone(), image: None, like: params.like.clone() };
    let input = SearchInput { query: params.q.clone(), file: None, like: params.like.clone() };
    let options = params.into_options(&pairs, &defaults)?;
    let answer = search.search(query, options).await?;
    Ok(axum::Json(SearchReply::new(answer, input)))
}

/// Find images by an uploaded image.
///
/// The query parameters are the same as those of the search by text.
#[utoipa::path(post, path = "/search/images", tag = "search", params(SearchParams),
    request_body(content = ImageQuery, content_type = "multipart/form-data"),
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
    upload_form::check_content_type(request.headers())?;
    // Before the body is read, so that waiting uploads use no memory.
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let permit = search.admit_upload(length).await?;
    let ImageForm { image, file_name, text } =
        upload_form::read(request, defaults.max_image_bytes, params.q.is_some()).await?;
    let text = text.or_else(|| params.q.clone());
    let query = QueryInput {
        text: text.clone(),
        image: Some(QueryImage { bytes: image, permit: Some(permit) }),
        like: params.like.clone(),
    };
    let input = SearchInput { query: text, file: file_name, like: params.like.clone() };
    let options = params.into_options(&pairs, &defaults)?;
    let answer = search.search(query, options).await?;
    Ok(axum::Json(SearchReply::new(answer, input)))
}
