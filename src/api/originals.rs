//! `/images/{id}/original`: a file of somebody else's, sent so that a browser takes it for a image and nothing else.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, ErrorReply};
use super::extract::{Path, Query};
use super::images::{CACHE, Where, has};
use super::{AppState, Defaults, disposition};
use crate::images::{Images, Originals};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_original))
}

/// Were the file opened by itself: nothing in it may run, load or be framed.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// The file that an indexed image was made from, as it is in the bucket now.
///
/// Its type is that of its first bytes, whatever the bucket says; a file that is no image any more is 422. One range of
/// bytes may be asked for.
#[utoipa::path(get, path = "/images/{id}/original", tag = "images", params(("id" = String, Path, format = Uuid), Where),
    responses((status = 200, description = "the file", content_type = "image/*", body = Vec<u8>),
        (status = 206, description = "the bytes that `Range` names", content_type = "image/*", body = Vec<u8>),
        (status = 304, description = "`If-None-Match` has it"), (status = 404, body = ErrorReply),
        (status = 416, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn get_original(
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(place): Query<Where>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, record) = images.get(&id, &place.or(&defaults)).await?;
    let known = Originals::etag(&record);
    if has(&headers, &known) {
        return Ok((StatusCode::NOT_MODIFIED, with(&known)).into_response());
    }
    let original = images.original(&record).await?;
    let (etag, size) = (original.etag.clone(), original.size_bytes);
    if has(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, with(&etag)).into_response());
    }
    let range = match size {
        Some(size) => asked(&headers, &etag, size)?,
        None => None,
    };
    let kind = HeaderValue::from_static(original.format.content_type());
    let name = disposition::inline(record.uri.key(), original.format);
    let length = range.map_or(size, |(from, to)| Some(to - from + 1));
    let body = Body::from_stream(original.into_stream(range).await?);
    let mut response = (with(&etag), body).into_response();
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

fn with(etag: &str) -> [(HeaderName, String); 5] {
    [
        (header::ETAG, format!("\"{etag}\"")),
        (header::CACHE_CONTROL, CACHE.to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin".to_owned()),
    ]
}

/// The first and last byte that are asked for; `None` for all of them: without a range, with several, with one that is not
/// understood (RFC 9110, 14.2), and where the client has a part of another file.
fn asked(headers: &HeaderMap, etag: &str, size: u64) -> Result<Option<(u64, u64)>, ApiError> {
    let of = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(range) = of(header::RANGE) else { return Ok(None) };
    if of(header::IF_RANGE).is_some_and(|wanted| wanted.trim_matches('"') != etag) {
        return Ok(None);
    }
    let Ok(parsed) = http_range_header::parse_range_header(range) else { return Ok(None) };
    match parsed.validate(size).as_deref() {
        Ok([one]) => Ok(Some((*one.start(), *one.end()))),
        Ok(_) => Ok(None),
        Err(_) => Err(ApiError::range(range, size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(value: &str) -> Option<(u64, u64)> {
        let headers = HeaderMap::from_iter([(header::RANGE, value.parse().unwrap())]);
        asked(&headers, "e", 100).unwrap()
    }

    #[test]
    fn one_range_is_cut_out_and_what_is_not_understood_is_the_whole() {
        assert_eq!(range("bytes=0-9"), Some((0, 9)));
        assert_eq!(range("bytes=90-"), Some((90, 99)));
        assert_eq!(range("bytes=-10"), Some((90, 99)));
        assert_eq!(range("bytes=50-500"), Some((50, 99)));
        for whole in ["pages=1-2", "bytes=a-b", "bytes=0-1,5-6", "nonsense"] {
            assert_eq!(range(whole), None, "{whole}");
        }
        let other = [(header::RANGE, "bytes=0-9".parse().unwrap()), (header::IF_RANGE, "\"f\"".parse().unwrap())];
        assert_eq!(asked(&HeaderMap::from_iter(other), "e", 100).unwrap(), None);
        let beyond = HeaderMap::from_iter([(header::RANGE, "bytes=100-".parse().unwrap())]);
        assert!(asked(&beyond, "e", 100).is_err());
    }
}
