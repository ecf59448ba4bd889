//! The parameters and the headers of uploads.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::Defaults;
use crate::api::http::ApiError;
use crate::uploads::UploadOptions;

static PREFER: HeaderName = HeaderName::from_static("prefer");

/// The query parameters of an upload.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadParams {
    /// The bucket; `S3_BUCKET` by default. It must be `S3_BUCKET` or one of `S3_ALLOWED_BUCKETS`.
    #[param(min_length = 1)]
    pub(super) bucket: Option<String>,
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[param(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    collection: Option<String>,
}

impl UploadParams {
    pub(super) fn collection(&self, defaults: &Defaults) -> String {
        self.collection.clone().unwrap_or_else(|| defaults.collection.to_string())
    }
}

/// Reads the headers `If-None-Match`, `If-Match` and `Prefer`.
pub(super) fn read_options(headers: &HeaderMap) -> Result<UploadOptions, ApiError> {
    let only_new = match headers.get(header::IF_NONE_MATCH).map(|value| value.as_bytes().trim_ascii()) {
        None => false,
        Some(b"*") => true,
        Some(_) => {
            let message = "If-None-Match: must be `*`, which refuses to replace an object, or not be sent";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_if_none_match", message));
        }
    };
    let if_match = headers.get(header::IF_MATCH).map(|value| read_etag(value.as_bytes())).transpose()?;
    let preferences = headers.get_all(&PREFER).iter().filter_map(|value| value.to_str().ok());
    let respond_async = preferences
        .flat_map(|value| value.split([',', ';']))
        .any(|one| one.trim().eq_ignore_ascii_case("respond-async"));
    Ok(UploadOptions { only_new, if_match, respond_async })
}

/// Reads the one ETag of `If-Match`. Without its quotes, as the replies of this API have it.
fn read_etag(value: &[u8]) -> Result<String, ApiError> {
    let etag = std::str::from_utf8(value).unwrap_or_default().trim().trim_matches('"');
    if etag.is_empty() || etag == "*" || etag.contains(['"', ',']) || etag.starts_with("W/") {
        let message =
            "If-Match: must be one ETag, as the reply to the last upload of the object has it, or not be sent";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_if_match", message));
    }
    Ok(etag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_conditions_are_accepted() {
        let read = |pairs: &[(&'static str, &str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            read_options(&headers).ok().map(|options| (options.only_new, options.respond_async))
        };
        assert_eq!(read(&[]), Some((false, false)));
        assert_eq!(read(&[("if-none-match", " * ")]), Some((true, false)));
        assert_eq!(read(&[("if-none-match", "\"etag\"")]), None);
        assert_eq!(read(&[("if-match", "*")]), None);
        assert_eq!(read(&[("if-match", "\"a\", \"b\"")]), None);
        assert_eq!(read(&[("if-match", "W/\"a\"")]), None);
        assert_eq!(read_etag(b" \"a-2\"").unwrap(), "a-2");
        assert_eq!(read_etag(b"a").unwrap(), "a");
        assert_eq!(read(&[("prefer", "wait=10, Respond-Async")]), Some((false, true)));
        assert_eq!(read(&[("prefer", "return=minimal")]), Some((false, false)));
    }
}
