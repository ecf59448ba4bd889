//! Extractors that fail with our body.

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::IntoResponse;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Bytes that the body of a request may have. Each group of routes has one in its extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit(pub(super) usize);

/// Bytes that are read of a body that is too large: a client that is still sending would not see the reply of a connection
/// that closes on it.
pub(super) const READ_BEYOND: usize = 8 * super::MAX_JSON;

/// The whole body of a request, within its limit.
async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    let mut size = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| ApiError::malformed(format!("the body broke off: {error}")))?;
        size += chunk.len();
        if size <= limit {
            bytes.extend_from_slice(&chunk);
        } else if size > limit + READ_BEYOND {
            break;
        }
    }
    if size > limit { Err(ApiError::body_too_large(limit)) } else { Ok(bytes.freeze()) }
}

/// The request with its body read.
pub(super) async fn with_bytes(request: Request) -> Result<(Request, Bytes), ApiError> {
    let (mut parts, body) = request.into_parts();
    let limit = Extension::<BodyLimit>::from_request_parts(&mut parts, &()).await;
    let limit = limit.map_or(super::MAX_JSON, |Extension(BodyLimit(limit))| limit);
    let bytes = read(body, limit).await?;
    Ok((Request::from_parts(parts, bytes.clone().into()), bytes))
}

/// Whether a body was not read to its end because it is too long.
pub(super) fn is_too_long(error: &axum::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// JSON objects. Arrays are refused before serde sees them, since it would take their items as fields in order.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (request, bytes) = with_bytes(request).await.map_err(IntoResponse::into_response)?;
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(ApiError::malformed("the body must be a JSON object, not an array").into_response());
        }
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejected) => Err(ApiError::from(rejected).into_response()),
        }
    }
}

/// The same, or nothing at all: then it is what its type says by default.
pub(super) struct MaybeJson<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeJson<T> {
    type Rejection = axum::response::Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (request, bytes) = with_bytes(request).await.map_err(IntoResponse::into_response)?;
        if bytes.is_empty() || bytes.trim_ascii() == b"null" {
            return Ok(Self(T::default()));
        }
        Json::from_request(request, state).await.map(|Json(value)| Self(value))
    }
}

/// Query strings.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(super) struct Query<T>(pub(super) T);

/// Path segments.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(super) struct Path<T>(pub(super) T);
