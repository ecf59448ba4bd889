//! `/search/images`.

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, ErrorReply};
use super::extract::Query;
use super::parameters::META_PREFIX;
use super::replies::{Asked, SearchReply};
use super::{AppState, Defaults};
use crate::domain::{Filter, ImageFormat, Timestamp};
use crate::search::{QueryInput, Search, SearchOptions};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    // The handler limits the size of each field of the form itself.
    OpenApiRouter::new().routes(routes!(search_by_text, search_by_image)).layer(DefaultBodyLimit::disable())
}

/// The query parameters of a search. In addition, `meta.KEY=value` finds only images with that metadata.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchParams {
    /// Text to search for; 1 to 1,000 characters after trimming.
    #[param(max_length = 1000)]
    q: Option<String>,
    /// Id of an image of the collection; finds other images that are similar to it.
    #[param(format = Uuid)]
    like: Option<String>,
    /// Only results with at least this score, -1 to 1.
    #[param(minimum = -1, maximum = 1)]
    min_score: Option<f32>,
    /// Number of results, 1 to 100.
    #[serde(default = "ten")]
    #[param(default = 10, minimum = 1, maximum = 100)]
    limit: usize,
    /// Number of results to skip; `offset` + `limit` is at most 10,000.
    #[serde(default)]
    #[param(default = 0, maximum = 9999)]
    offset: usize,
    /// The store to search, or `all`; the first configured store by default.
    provider: Option<String>,
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[param(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    collection: Option<String>,
    /// Only images of this format: `jpeg`, `png`, `webp` or `gif`.
    #[param(value_type = Option<ImageFormat>)]
    format: Option<String>,
    /// Only keys in this folder; it must end with `/`.
    #[param(pattern = "/$")]
    s3_prefix: Option<String>,
    /// Only images whose original is at least this wide, in pixels.
    #[param(maximum = 4_294_967_295_i64)]
    min_width: Option<u32>,
    /// Only images whose original is at least this high, in pixels.
    #[param(maximum = 4_294_967_295_i64)]
    min_height: Option<u32>,
    /// Only images indexed after this time, in RFC 3339 format.
    #[param(format = DateTime)]
    indexed_after: Option<String>,
}

fn ten() -> usize {
    10
}

/// The query string as pairs, for parameters with names that are not fixed (`meta.KEY`).
type Pairs = Vec<(String, String)>;

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
    let question = QueryInput { text: params.q.clone(), image: None, like: params.like.clone() };
    let input = Asked { query: question.text.clone(), file: None, like: question.like.clone() };
    let options = options(params, &pairs, &defaults)?;
    let answer = search.search(question, options).await?;
    Ok(axum::Json(SearchReply::of(answer, input)))
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
    Query(mut params): Query<SearchParams>,
    Query(pairs): Query<Pairs>,
    request: Request,
) -> Result<axum::Json<SearchReply>, ApiError> {
    if !is_form(request.headers()) {
        return Err(ApiError::not_multipart());
    }
    // Before the body is read, so that waiting uploads use no memory.
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let _upload = search.admit(length).await?;
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|rejected| ApiError::malformed(format!("{}: send multipart/form-data", rejected.body_text())))?;
    let (mut image, mut name) = (None, None);
    let limit = defaults.max_image_bytes;
    while let Some(field) = form.next_field().await.map_err(|error| malformed_form(&error))? {
        match field.name() {
            Some("file") if image.is_some() => {
                return Err(ApiError::invalid("file", "it is given twice; send one image in each request"));
            }
            Some("file") => {
                name = field.file_name().map(str::to_owned);
                image = Some(read_field(field, limit).await?.ok_or_else(|| ApiError::too_large(limit))?);
            }
            Some("q") => {
                if params.q.is_some() {
                    return Err(ApiError::invalid(
                        "q",
                        "it is given twice; send it either in the form or in the query string",
                    ));
                }
                let text = read_field(field, MAX_TEXT_BYTES)
                    .await?
                    .ok_or_else(|| ApiError::field_too_large("q", MAX_TEXT_BYTES))?;
                let text = String::from_utf8(text.into()).map_err(|_| ApiError::malformed("`q` is not UTF-8"))?;
                params.q = Some(text).filter(|text| !text.trim().is_empty());
            }
            other => {
                let other = other.unwrap_or("(without a name)");
                return Err(ApiError::malformed(format!(
                    "the field `{other}` is not known; the fields are `file` (required) and `q` (optional)"
                )));
            }
        }
    }
    let Some(image) = image else {
        return Err(ApiError::malformed("the form has no field `file`"));
    };
    let question = QueryInput { text: params.q.clone(), image: Some(image), like: params.like.clone() };
    let input = Asked { query: question.text.clone(), file: name, like: question.like.clone() };
    let options = options(params, &pairs, &defaults)?;
    let answer = search.search(question, options).await?;
    Ok(axum::Json(SearchReply::of(answer, input)))
}

/// Reads a field of at most `limit` bytes. Returns `None` if it is larger: then the rest is read and discarded, up to
/// [`DISCARD_FACTOR`] times the limit, because a client that is still sending does not see the reply if the connection
/// is closed.
async fn read_field(mut field: Field<'_>, limit: usize) -> Result<Option<Bytes>, ApiError> {
    let mut bytes = BytesMut::new();
    let mut size = 0;
    while let Some(chunk) = field.chunk().await.map_err(|error| malformed_form(&error))? {
        size += chunk.len();
        if size <= limit {
            bytes.extend_from_slice(&chunk);
        } else if size > limit.saturating_mul(DISCARD_FACTOR) {
            break;
        }
    }
    Ok((size <= limit).then(|| bytes.freeze()))
}

/// Whether the content type is that of a form.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// The connection is closed if a field is larger than this many times its limit.
const DISCARD_FACTOR: usize = 8;
/// Maximum size of the text in bytes: [`crate::search::MAX_CHARACTERS`] of four bytes each, and room for spaces around
/// them.
const MAX_TEXT_BYTES: usize = 16 * 1024;

fn malformed_form(error: &MultipartError) -> ApiError {
    ApiError::malformed(error.body_text())
}

fn options(params: SearchParams, pairs: &Pairs, defaults: &Defaults) -> Result<SearchOptions, ApiError> {
    let format = match params.format.as_deref() {
        Some(name) => Some(
            ImageFormat::from_name(name)
                .ok_or_else(|| ApiError::invalid("format", format!("must be jpeg, png, webp or gif, not `{name}`")))?,
        ),
        None => None,
    };
    let indexed_after = match params.indexed_after.as_deref() {
        Some(text) => {
            Some(Timestamp::parse(text).map_err(|error| ApiError::invalid("indexed_after", error.to_string()))?)
        }
        None => None,
    };
    let meta = pairs
        .iter()
        .filter_map(|(name, value)| name.strip_prefix(META_PREFIX).map(|key| (key.to_owned(), value.clone())))
        .collect();
    Ok(SearchOptions {
        limit: params.limit,
        offset: params.offset,
        provider: params.provider,
        collection: params.collection.unwrap_or_else(|| defaults.collection.to_string()),
        filter: Filter {
            format,
            s3_prefix: params.s3_prefix,
            min_width: params.min_width,
            min_height: params.min_height,
            indexed_after,
            meta,
        },
        min_score: params.min_score,
    })
}
