//! Checks who may use the service: API keys, sessions, and the origin of requests from browsers.
//!
//! Without a key the service listens on loopback only. A page of another site could still reach it through the browser
//! of the user: by a request to another origin (recognised by `Origin`) or by a name that resolves to loopback
//! (recognised by `Host`).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::origin::is_same_host;
use super::sessions::{SESSION_PATH, Sessions};
use crate::api::http::ApiError;
use crate::api::{ApiSettings, internal, mirrors};
use crate::web;

/// The authenticator of the service.
#[derive(Debug)]
pub(in crate::api) struct Authenticator {
    /// SHA-256 of each key. All digests have the same length, so that the comparison reveals nothing about the key.
    keys: Vec<[u8; 32]>,
    /// Origins whose pages may send requests that change something: `GLIMPSE_CORS_ORIGINS` and `GLIMPSE_PUBLIC_URL`.
    origins: Vec<String>,
    /// The host of `GLIMPSE_PUBLIC_URL`.
    public_host: Option<String>,
    /// Whether the host of a request must be a loopback name.
    loopback_names: bool,
    /// The sessions of browsers that have sent a valid key.
    pub(in crate::api) sessions: Sessions,
}

/// Paths that need no key: the health checks, the page, the path where it sends the key, and the path of events, which are
/// authenticated with the token of a mirror instead.
const OPEN_PATHS: [&str; 5] = ["/healthz", "/readyz", "/", SESSION_PATH, mirrors::EVENTS_PATH];

/// Prefixes of paths that need no key. Workers authenticate with a token instead.
const OPEN_PREFIXES: [&str; 2] = [internal::PREFIX, web::PREFIX];

impl Authenticator {
    pub(in crate::api) fn new(settings: &ApiSettings) -> Self {
        let keys: Vec<_> = settings.keys().iter().map(|key| digest(key.reveal())).collect();
        let loopback_names = keys.is_empty() && !settings.glimpse_allow_anonymous;
        let public = settings.glimpse_public_url.as_ref().map(|origin| origin.as_str().to_owned());
        let public_host =
            public.as_deref().and_then(|origin| origin.split_once("://")).map(|(_, host)| host.to_owned());
        let origins = settings.glimpse_cors_origins.as_strings().into_iter().chain(public).collect();
        Self { keys, origins, public_host, loopback_names, sessions: Sessions::default() }
    }

    fn authorize(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let path = uri.path();
        // HTTP/2 has `:authority` instead of the header.
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(uri.authority().map(Authority::as_str));
        if let Some(host) = host
            && self.loopback_names
            && !is_loopback_name(host)
            && self.public_host.as_deref().is_none_or(|public| !public.eq_ignore_ascii_case(host))
        {
            return Err(cross_origin(format!(
                "without GLIMPSE_API_KEY this service accepts only loopback host names, not `{host}`; \
                 set GLIMPSE_PUBLIC_URL if this is the address of the service"
            )));
        }
        if !method.is_safe() {
            self.check_origin(headers, host)?;
        }
        let open = OPEN_PATHS.contains(&path) || OPEN_PREFIXES.iter().any(|prefix| path.starts_with(prefix));
        if open || self.is_signed_in(headers) {
            return Ok(());
        }
        match presented_key(headers) {
            None => {
                Err(ApiError::unauthorized("no API key; send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"))
            }
            Some(_) => {
                Err(ApiError::unauthorized("the API key is not valid; use one of GLIMPSE_API_KEY of the service"))
            }
        }
    }

    /// Whether the request has a valid session or key, or no key is configured.
    pub(in crate::api) fn is_signed_in(&self, headers: &HeaderMap) -> bool {
        self.keys.is_empty()
            || self.sessions.is_valid(headers)
            || presented_key(headers).is_some_and(|key| self.is_valid_key(key))
    }

    /// Whether requests need a key or a session.
    pub(in crate::api) fn needs_key(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether the key is valid. Compares every key, so that the time does not depend on which one matches.
    pub(in crate::api) fn is_valid_key(&self, key: &str) -> bool {
        let given = digest(key);
        self.keys.iter().fold(Choice::from(0), |valid, key| valid | key.ct_eq(&given)).into()
    }

    fn check_origin(&self, headers: &HeaderMap, host: Option<&str>) -> Result<(), ApiError> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or("null");
        if self.origins.iter().any(|allowed| allowed == origin) || host.is_some_and(|host| is_same_host(origin, host)) {
            return Ok(());
        }
        // A browser sets this header itself. It knows the address that it requested, even if a proxy changed `Host`.
        if headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin") {
            return Ok(());
        }
        let host = host.unwrap_or("(a request without Host)");
        Err(cross_origin(format!(
            "a page of `{origin}` may not send requests to `{host}` that change something; if both are addresses of this service, set \
             GLIMPSE_PUBLIC_URL={origin}; if `{origin}` is another site, add it to GLIMPSE_CORS_ORIGINS"
        )))
    }
}

/// Middleware that refuses requests without a valid key, and requests from pages of other sites.
pub(in crate::api) async fn authenticate(
    State(authenticator): State<Arc<Authenticator>>,
    request: Request,
    next: Next,
) -> Response {
    match authenticator.authorize(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

/// Returns the key that the request presents.
fn presented_key(headers: &HeaderMap) -> Option<&str> {
    bearer_token(headers).or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()))
}

/// Returns the token of `Authorization: Bearer TOKEN`.
pub(in crate::api) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// 403 for a request that a page of another site made a browser send.
fn cross_origin(message: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "cross_origin", message)
}

pub(super) fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_a_valid_key_is_accepted() {
        let authenticator =
            Authenticator::new(&ApiSettings { glimpse_api_key: Secret::new("one, two"), ..ApiSettings::default() });
        let get =
            |headers: &HeaderMap| authenticator.authorize(&Method::GET, &Uri::from_static("/jobs"), headers).is_ok();
        assert!(get(&headers(&[("authorization", "Bearer one")])));
        assert!(get(&headers(&[("authorization", "bearer two")])));
        assert!(get(&headers(&[("x-api-key", "two")])));
        for wrong in [&[][..], &[("x-api-key", "onetwo")], &[("x-api-key", "")], &[("authorization", "Basic one")]] {
            assert!(!get(&headers(wrong)), "{wrong:?}");
        }
        for open in OPEN_PATHS {
            authenticator.authorize(&Method::GET, &Uri::from_static(open), &HeaderMap::new()).unwrap();
        }
    }

    #[test]
    fn requests_of_other_sites_that_change_something_are_refused() {
        let authenticator = Authenticator::new(&ApiSettings {
            glimpse_cors_origins: "https://ok.example".to_owned().try_into().unwrap(),
            ..ApiSettings::default()
        });
        let host = ("host", "localhost:8080");
        let post = |origin| {
            authenticator
                .authorize(&Method::POST, &Uri::from_static("/jobs/images"), &headers(&[host, ("origin", origin)]))
                .is_ok()
        };
        assert!(post("http://localhost:8080") && post("https://ok.example"));
        assert!(!post("https://evil.example") && !post("null") && !post("http://localhost:9"));
        let get = authenticator.authorize(
            &Method::GET,
            &Uri::from_static("/jobs"),
            &headers(&[host, ("origin", "https://evil.example")]),
        );
        assert!(get.is_ok(), "reading is left to CORS");
    }

    #[test]
    fn other_names_that_resolve_to_loopback_are_refused() {
        let authenticator = Authenticator::new(&ApiSettings::default());
        let is_authorized = |host| {
            authenticator.authorize(&Method::GET, &Uri::from_static("/jobs"), &headers(&[("host", host)])).is_ok()
        };
        for good in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.1.2.3"] {
            assert!(is_authorized(good), "{good}");
        }
        for bad in ["evil.example:8080", "localhost.evil.example", "10.0.0.1", ""] {
            assert!(!is_authorized(bad), "{bad}");
        }
    }
}
