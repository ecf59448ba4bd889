//! Extractors whose errors have the error body of this API.

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Maximum size of a JSON body in bytes.
pub(in crate::api) const MAX_JSON_BYTES: usize = 64 * 1024;

/// Maximum size of the body of a request in bytes. Each group of routes has one in its extensions.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct BodyLimit(pub(in crate::api) usize);

/// Bytes that are read and discarded of a body that is too large. A client that is still sending does not see the reply
/// if the connection is closed earlier.
pub(in crate::api) const MAX_DISCARDED_BYTES: usize = 8 * MAX_JSON_BYTES;

/// Reads the whole body of a request. Fails if it is larger than `limit` bytes.
async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut size = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| ApiError::malformed(format!("the body is incomplete: {error}")))?;
        size += chunk.len();
        if size <= limit {
            bytes.extend_from_slice(&chunk);
        } else if size > limit + MAX_DISCARDED_BYTES {
            break;
        }
    }
    if size > limit { Err(body_too_large(limit)) } else { Ok(bytes.freeze()) }
}

/// 413 for a body.
pub(super) fn body_too_large(limit: usize) -> ApiError {
    let message = format!("the body is too large; at most {limit} bytes are allowed");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

/// Reads the body of a request. Returns the request and the body.
pub(in crate::api) async fn read_body(request: Request) -> Result<(Request, Bytes), ApiError> {
    let (mut parts, body) = request.into_parts();
    let limit = Extension::<BodyLimit>::from_request_parts(&mut parts, &()).await;
    let limit = limit.map_or(MAX_JSON_BYTES, |Extension(BodyLimit(limit))| limit);
    let bytes = read(body, limit).await?;
    Ok((Request::from_parts(parts, bytes.clone().into()), bytes))
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

/// Extracts a JSON object. Arrays are refused first, because serde would read their items as the fields in order.
pub(in crate::api) struct Json<T>(pub(in crate::api) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (request, bytes) = read_body(request).await.map_err(IntoResponse::into_response)?;
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(ApiError::malformed("the body must be a JSON object, not an array").into_response());
        }
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejected) => Err(ApiError::from(rejected).into_response()),
        }
    }
}

/// Extracts a JSON object; for an empty body, the default of the type.
pub(in crate::api) struct MaybeJson<T>(pub(in crate::api) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (request, bytes) = read_body(request).await.map_err(IntoResponse::into_response)?;
        if bytes.is_empty() || bytes.trim_ascii() == b"null" {
            return Ok(Self(T::default()));
        }
        Json::from_request(request, state).await.map(|Json(value)| Self(value))
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
