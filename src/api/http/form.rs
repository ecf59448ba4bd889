//! Reads multipart forms with files.

use axum::extract::multipart::{Field, MultipartError};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};

use super::error::ApiError;
use crate::search::UploadPermit;

/// The connection is closed if a field is larger than this many times its limit.
const DISCARD_FACTOR: usize = 8;

/// Fails if the content type is not that of a form. `expected` says what is.
pub(in crate::api) fn check_content_type(headers: &HeaderMap, expected: &str) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/form-data")) {
        return Ok(());
    }
    let message = format!("expected {expected}");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_multipart", message))
}

/// Reads a field of at most `limit` bytes. Returns `None` if it is larger: then the rest is read and discarded, up to
/// [`DISCARD_FACTOR`] times the limit, because a client that is still sending does not see the reply if the connection
/// is closed.
pub(in crate::api) async fn read_field(
    mut field: Field<'_>,
    limit: usize,
    permit: &mut UploadPermit,
) -> Result<Option<Bytes>, ApiError> {
    let mut bytes = BytesMut::new();
    let mut size = 0;
    while let Some(chunk) = field.chunk().await.map_err(|error| malformed_form(&error))? {
        size += chunk.len();
        if size <= limit {
            permit.grow(size as u64).await?;
            bytes.extend_from_slice(&chunk);
        } else if size > limit.saturating_mul(DISCARD_FACTOR) {
            break;
        }
    }
    Ok((size <= limit).then(|| bytes.freeze()))
}

/// 413 for a file.
pub(in crate::api) fn file_too_large(limit: usize) -> ApiError {
    let message = format!("the file is too large; at most {limit} bytes are allowed (IMAGE_MAX_SIZE_MB)");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

/// 400 for a form.
pub(in crate::api) fn malformed_form(error: &MultipartError) -> ApiError {
    tracing::debug!(error = %error.body_text(), "a form cannot be read");
    ApiError::malformed("the form is incomplete, or is not valid multipart/form-data")
}
