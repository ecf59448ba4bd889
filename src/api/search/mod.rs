//! `/search/images`.

mod base64_bytes;
mod composite;
mod error;
mod params;
mod region;
mod reply;
mod upload_form;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::filter::FilterParams;
use super::http::extract::Memory;
use super::http::form::check_content_type;
use super::http::parameters::Pairs;
use super::http::{ApiError, ErrorReply, Query, is_json, parse_described, read_up_to};
use super::{AppState, Defaults};
use crate::images::Images;
use crate::search::{QueryImage, QueryInput, Search, UploadPermit};

use params::SearchParams;
use region::read_part;
use reply::SearchInput;
use upload_form::ImageForm;

pub use base64_bytes::Base64Bytes;
pub(super) use base64_bytes::decode as decode_base64;
pub(super) use composite::max_body_bytes;
pub use composite::{CompositeQuery, TermRequest};
pub(super) use params::parse_language;
pub use region::RegionRequest;
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
    /// The image: JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC, AVIF, JPEG XL or camera RAW, at most `IMAGE_MAX_SIZE_MB`.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// A text; the results are similar to both the image and the text.
    q: Option<String>,
}

/// Find images by a text, by an indexed image, or by both.
#[utoipa::path(get, path = "/search/images", tag = "search", params(SearchParams, FilterParams),
    responses((status = 200, body = SearchReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 429, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn search_by_text(
    State(search): State<Search>,
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Query(params): Query<SearchParams>,
    Query(pairs): Query<Pairs>,
) -> Result<axum::Json<SearchReply>, ApiError> {
    let input = SearchInput { query: params.q.clone(), file: None, like: params.like.clone() };
    let (region, language) = (params.region()?, params.language()?);
    let options = params.into_options(&pairs, &defaults)?;
    let query = match (&input.like, region) {
        (like, None) => QueryInput::new(input.query.clone(), None, like.clone()),
        (None, Some(_)) => return Err(ApiError::invalid("region", "is a part of an image, so it needs `like`")),
        (Some(id), Some(region)) => {
            let mut permit = search.admit_upload().await?;
            let part = read_part(&images, &options.collection, id, region, &mut permit).await?;
            let part = QueryImage { permit: Some(Arc::new(permit)), ..part };
            QueryInput::new(input.query.clone(), Some(part), None)
        }
    };
    let answer = search.search(query.in_language(language), options).await?;
    Ok(axum::Json(SearchReply::new(&defaults.base_path, answer, input)))
}

/// Find images by an uploaded image, or by several texts and images.
///
/// With a form, the query parameters are the same as those of the search by text. With JSON, everything is in the body.
#[utoipa::path(post, path = "/search/images", tag = "search", params(SearchParams, FilterParams),
    request_body(content((ImageQuery = "multipart/form-data"), (CompositeQuery = "application/json"))),
    responses((status = 200, body = SearchReply), (status = 400, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 413, body = ErrorReply), (status = 415, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 429, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn search_by_image(
    State(search): State<Search>,
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Query(params): Query<SearchParams>,
    Query(pairs): Query<Pairs>,
    request: Request,
) -> Result<axum::Json<SearchReply>, ApiError> {
    if is_json(request.headers()) {
        if let Some((name, _)) = pairs.first() {
            return Err(ApiError::invalid(name, "must be in the JSON body, and not in the query string"));
        }
        return search_by_terms(&search, &images, &defaults, request).await;
    }
    let expected = "`Content-Type: multipart/form-data` with a field `file`, or `application/json`";
    check_content_type(request.headers(), expected)?;
    let (region, language) = (params.region()?, params.language()?);
    // Before the body is read, so that waiting uploads use no memory.
    let mut permit = search.admit_upload().await?;
    let ImageForm { image, file_name, text } =
        upload_form::read(request, defaults.max_image_bytes, params.q.is_some(), &mut permit).await?;
    let text = text.or_else(|| params.q.clone());
    let image = QueryImage { bytes: image, region, excluded: None, permit: Some(Arc::new(permit)) };
    let query = QueryInput::new(text.clone(), Some(image), params.like.clone()).in_language(language);
    let input = SearchInput { query: text, file: file_name, like: params.like.clone() };
    let options = params.into_options(&pairs, &defaults)?;
    let answer = search.search(query, options).await?;
    Ok(axum::Json(SearchReply::new(&defaults.base_path, answer, input)))
}

impl Memory for UploadPermit {
    async fn reserve(&mut self, bytes: usize) -> Result<(), ApiError> {
        // The body and its decoded images are in memory at the same time.
        Ok(self.grow((bytes as u64).saturating_mul(7) / 4).await?)
    }
}

/// Searches with a JSON body.
async fn search_by_terms(
    search: &Search,
    images: &Images,
    defaults: &Defaults,
    request: Request,
) -> Result<axum::Json<SearchReply>, ApiError> {
    let mut permit = search.admit_upload().await?;
    let limit = composite::max_body_bytes(defaults.max_image_bytes, search.upload_budget());
    let (headers, body) = read_up_to(request, limit, &mut permit).await?;
    let query: CompositeQuery = parse_described(&headers, &body)?;
    drop(body);
    let (query, options) = query.into_query(permit, images, defaults).await?;
    let answer = search.search(query, options).await?;
    Ok(axum::Json(SearchReply::new(&defaults.base_path, answer, SearchInput { query: None, file: None, like: None })))
}
