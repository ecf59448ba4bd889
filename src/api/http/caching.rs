//! The headers by which browsers cache images.

use axum::http::{HeaderMap, header};

/// `Cache-Control` of images. They are private, because a search needs a key. After 300 s the browser asks whether the
/// image was changed.
pub(in crate::api) const CACHE_POLICY: &str = "private, max-age=300";

/// Whether `If-None-Match` contains this ETag.
pub(in crate::api) fn if_none_match(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given
        .split(',')
        .map(|one| one.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|one| one == etag || one == "*")
}
