//! `/images/{id}/original`: returns an untrusted file in such a way that a browser treats it only as an image.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionParam;
use crate::api::http::caching::{CACHE_POLICY, if_none_match};
use crate::api::http::{ApiError, ErrorReply, FileBytes, Path, Query, disposition};
use crate::api::{AppState, Defaults};
use crate::images::{Images, Originals};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_original))
}

/// If a browser opens the file directly, nothing in it can run, load other files or be framed.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Return the original file of an indexed image, as it is in the bucket now.
///
/// The content type depends on the first bytes of the file, not on the metadata in the bucket. If the file is no longer
/// an image, the reply is 422. A request can ask for one range of bytes.
#[utoipa::path(get, path = "/images/{id}/original", tag = "images", params(("id" = String, Path, format = Uuid), CollectionParam),
    responses((status = 200, description = "the file", content_type = "image/*", body = inline(FileBytes)),
        (status = 206, description = "the bytes that `Range` names", content_type = "image/*", body = inline(FileBytes)),
        (status = 304, description = "not modified: the ETag is in `If-None-Match`"), (status = 404, body = ErrorReply),
        (status = 416, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn get_original(
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(params): Query<CollectionParam>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, record) = images.get(&id, &params.or_default(&defaults)).await?;
    let indexed_etag = Originals::etag(&record);
    if if_none_match(&headers, &indexed_etag) {
        return Ok((StatusCode::NOT_MODIFIED, response_headers(&indexed_etag)).into_response());
    }
    let original = images.original(&record).await?;
    let (etag, size) = (original.etag.clone(), original.size_bytes);
    if if_none_match(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, response_headers(&etag)).into_response());
    }
    let range = match size {
        Some(size) => parse_range(&headers, &etag, size)?,
        None => None,
    };
    let kind = HeaderValue::from_static(original.format.content_type());
    let name = disposition::inline(record.uri.key(), original.format);
    let length = range.map_or(size, |(from, to)| Some(to - from + 1));
    let body = Body::from_stream(original.into_stream(range).await?);
    let mut response = (response_headers(&etag), body).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, kind);
    fields.insert(header::CONTENT_DISPOSITION, name);
    if let Some(length) = length {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let (Some((from, to)), Some(size)) = (range, size)
        && let Ok(value) = HeaderValue::try_from(format!("bytes {from}-{to}/{size}"))
    {
        fields.insert(header::CONTENT_RANGE, value);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn response_headers(etag: &str) -> [(HeaderName, String); 5] {
    [
        (header::ETAG, format!("\"{etag}\"")),
        (header::CACHE_CONTROL, CACHE_POLICY.to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin".to_owned()),
    ]
}

/// Returns the first and the last byte of the requested range. Returns `None`, for the whole file, if there is no
/// range, if there are several, if the range is not understood (RFC 9110, 14.2), or if the client holds a part of
/// another file.
fn parse_range(headers: &HeaderMap, etag: &str, size: u64) -> Result<Option<(u64, u64)>, ApiError> {
    let header_value = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(range) = header_value(header::RANGE) else { return Ok(None) };
    if header_value(header::IF_RANGE).is_some_and(|etag_of_part| etag_of_part.trim_matches('"') != etag) {
        return Ok(None);
    }
    let Ok(parsed) = http_range_header::parse_range_header(range) else { return Ok(None) };
    match parsed.validate(size).as_deref() {
        Ok([one]) => Ok(Some((*one.start(), *one.end()))),
        Ok(_) => Ok(None),
        Err(_) => Err(outside_file(range, size)),
    }
}

/// 416 for a range outside the file, which has `size` bytes.
fn outside_file(range: &str, size: u64) -> ApiError {
    let message = format!("the range `{range}` is outside the file, which has {size} bytes");
    ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(value: &str) -> Option<(u64, u64)> {
        let headers = HeaderMap::from_iter([(header::RANGE, value.parse().unwrap())]);
        parse_range(&headers, "e", 100).unwrap()
    }

    #[test]
    fn one_range_is_returned_and_other_ranges_give_the_whole_file() {
        assert_eq!(range("bytes=0-9"), Some((0, 9)));
        assert_eq!(range("bytes=90-"), Some((90, 99)));
        assert_eq!(range("bytes=-10"), Some((90, 99)));
        assert_eq!(range("bytes=50-500"), Some((50, 99)));
        for whole in ["pages=1-2", "bytes=a-b", "bytes=0-1,5-6", "nonsense"] {
            assert_eq!(range(whole), None, "{whole}");
        }
        let other = [(header::RANGE, "bytes=0-9".parse().unwrap()), (header::IF_RANGE, "\"f\"".parse().unwrap())];
        assert_eq!(parse_range(&HeaderMap::from_iter(other), "e", 100).unwrap(), None);
        let beyond = HeaderMap::from_iter([(header::RANGE, "bytes=100-".parse().unwrap())]);
        assert!(parse_range(&beyond, "e", 100).is_err());
    }
}
