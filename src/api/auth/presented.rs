//! The key or the token that a request presents.

use axum::http::{HeaderMap, header};

/// Returns the key that the request presents. With `has_token`, its bearer token is one of an identity provider and not a key.
pub(super) fn presented_key(headers: &HeaderMap, has_token: bool) -> Option<&str> {
    bearer_token(headers).filter(|_| !has_token).or_else(|| api_key(headers))
}

/// Returns the key in `X-API-Key`, which proxies do not send by themselves.
pub(super) fn api_key(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-api-key")?.to_str().ok()
}

/// Returns the token of `Authorization: Bearer TOKEN`.
pub(in crate::api) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
