//! Extractors whose errors have the error body of this API.

use axum::Extension;
use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use utoipa::PartialSchema;

use super::allowed::{invalid_body, wrong_body};
use super::error::ApiError;
use super::long_text::find_long_text;

/// Maximum size of a JSON body in bytes.
pub(in crate::api) const MAX_JSON_BYTES: usize = 64 * 1024;

/// Maximum size of a batch of an import in bytes.
pub(in crate::api) const MAX_IMPORT_BYTES: usize = 4 << 20;

/// Maximum size of the body of a request in bytes. Each group of routes has one in its extensions.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct BodyLimit(pub(in crate::api) usize);

/// Bytes that are read and discarded of a body that is too large. A client that is still sending does not see the reply
/// if the connection is closed earlier.
pub(in crate::api) const MAX_DISCARDED_BYTES: usize = 8 * MAX_JSON_BYTES;

/// Memory for a body.
pub(in crate::api) trait Memory: Send {
    /// Reserves memory for a body of `bytes` bytes, in place of what was reserved before.
    fn reserve(&mut self, bytes: usize) -> impl Future<Output = Result<(), ApiError>> + Send;
}

/// Memory for bodies that are small.
impl Memory for () {
    async fn reserve(&mut self, _: usize) -> Result<(), ApiError> {
        Ok(())
    }
}

/// Reads the whole body of a request into `memory`. Fails if it is larger than `limit` bytes.
async fn read(body: Body, limit: usize, memory: &mut impl Memory) -> Result<Bytes, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut size = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| incomplete_body())?;
        size += chunk.len();
        if size <= limit {
            memory.reserve(size).await?;
            bytes.extend_from_slice(&chunk);
        } else if size > limit + MAX_DISCARDED_BYTES {
            break;
        }
    }
    if size > limit { Err(body_too_large(limit)) } else { Ok(bytes.freeze()) }
}

/// 400 for a body that broke off.
pub(super) fn incomplete_body() -> ApiError {
    ApiError::malformed("the body is incomplete: the connection was closed before its end")
}

/// 413 for a body.
pub(super) fn body_too_large(limit: usize) -> ApiError {
    let message = format!("the body is too large; at most {limit} bytes are allowed");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

/// Reads the body of a request. Returns the headers and the body.
pub(in crate::api) async fn read_body(request: Request) -> Result<(HeaderMap, Bytes), ApiError> {
    let (mut parts, body) = request.into_parts();
    let limit = Extension::<BodyLimit>::from_request_parts(&mut parts, &()).await;
    let limit = limit.map_or(MAX_JSON_BYTES, |Extension(BodyLimit(limit))| limit);
    Ok((parts.headers, read(body, limit, &mut ()).await?))
}

/// Reads the body of a request of at most `limit` bytes into `memory`. Returns the headers and the body.
pub(in crate::api) async fn read_up_to(
    request: Request,
    limit: usize,
    memory: &mut impl Memory,
) -> Result<(HeaderMap, Bytes), ApiError> {
    let (parts, body) = request.into_parts();
    // Without reading what would be discarded, so that it does not take part of the budget first.
    if body.size_hint().lower() > limit.saturating_add(MAX_DISCARDED_BYTES) as u64 {
        return Err(body_too_large(limit));
    }
    Ok((parts.headers, read(body, limit, memory).await?))
}

/// Whether a request has a JSON body.
pub(in crate::api) fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
}

/// Returns the content type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Parses a JSON object. `explain` returns the error for JSON that the type refuses, or `None` for text that is not
/// JSON. Arrays are refused first, because serde would read their items as the fields in order.
pub(in crate::api) fn parse_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
    explain: impl FnOnce(&serde_json::Error) -> Option<ApiError>,
) -> Result<T, ApiError> {
    if !is_json(headers) {
        let message = format!("the content type of the body must be `application/json`, not `{}`", media_type(headers));
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
    }
    if bytes.trim_ascii_start().starts_with(b"[") && serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Err(invalid_body("the body must be a JSON object, not an array"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let not_json = || format!("the body is not valid JSON: the error is in line {line}, column {column}");
        explain(&error).unwrap_or_else(|| ApiError::malformed(not_json()))
    })
}

/// Parses a JSON object whose type is described in the OpenAPI document. Refuses long texts first, except files.
pub(in crate::api) fn parse_described<T: DeserializeOwned + PartialSchema>(
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<T, ApiError> {
    if let Some(problem) = find_long_text(bytes).filter(|_| is_json(headers)) {
        return Err(invalid_body(problem));
    }
    parse_json(headers, bytes, |error| {
        let schema = serde_json::to_value(T::schema()).unwrap_or_default();
        error.is_data().then(|| wrong_body(&schema, bytes, error))
    })
}

/// Whether reading a body failed because it is too long.
pub(in crate::api) fn is_too_long(error: &axum::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Extracts a JSON object.
pub(in crate::api) struct Json<T>(pub(in crate::api) T);

impl<T: DeserializeOwned + PartialSchema, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (headers, bytes) = read_body(request).await?;
        parse_described(&headers, &bytes).map(Self)
    }
}

/// Extracts a JSON object; for an empty body, the default of the type.
pub(in crate::api) struct MaybeJson<T>(pub(in crate::api) T);

impl<T: DeserializeOwned + PartialSchema + Default, S: Send + Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (headers, bytes) = read_body(request).await?;
        if bytes.is_empty() || bytes.trim_ascii() == b"null" {
            return Ok(Self(T::default()));
        }
        parse_described(&headers, &bytes).map(Self)
    }
}

/// Extracts the query string.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(in crate::api) struct Query<T>(pub(in crate::api) T);

/// Extracts the parameters of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(in crate::api) struct Path<T>(pub(in crate::api) T);
