//! HTTP/1.1 client of an embedding service, used by all adapters. It has one pool of connections and limits the size of
//! replies. Does not retry or cache, and does not depend on images.

mod reply;
mod status;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EmbedError;
use crate::domain::{DependencyError, Secret, Trouble, with_causes};
use crate::resilience::parse_retry_after;

/// Idle connections are closed after this time. Most of these services run under uvicorn, which closes a connection
/// after five idle seconds, and a request that is sent at that moment is lost. During a job no connection is idle that
/// long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum bytes read from an error reply, enough for its message.
const MAX_ERROR_BYTES: usize = 8 * 1024;

/// URL, key and timeout of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// URL of the service. Its path, if any, is the prefix of all routes, for a service behind a proxy.
    pub url: String,
    /// Sent as `Authorization: Bearer …` if it is not empty.
    pub key: Secret,
    /// Timeout of one request, including the body of its reply.
    pub timeout: Duration,
}

/// A client of one service, with its connections.
#[derive(Clone, Debug)]
pub(super) struct Service {
    name: &'static str,
    http: Client,
    url: Url,
    key: Option<HeaderValue>,
}

/// A failed request: the error, and the status of the reply, if there was a reply.
#[derive(Debug)]
pub(super) struct RequestError {
    pub(super) status: Option<StatusCode>,
    pub(super) error: EmbedError,
}

impl From<RequestError> for EmbedError {
    fn from(failure: RequestError) -> Self {
        failure.error
    }
}

impl From<EmbedError> for RequestError {
    fn from(error: EmbedError) -> Self {
        Self { status: None, error }
    }
}

/// Parses `url` as the URL of a service. Refuses user and password, because URLs are logged and shown.
///
/// # Errors
/// A message that continues the name of the setting. It does not repeat the URL, which may hold a secret.
pub(super) fn address(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let parsed = parsed.ok_or_else(|| "is not a URL; it must begin with http:// or https://".to_owned())?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("contains a user or a password; remove it and set CLIP_API_KEY instead".to_owned());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("contains `?` or `#`; it must end with its path".to_owned());
    }
    Ok(parsed)
}

/// Returns the `Authorization` header for `key`; `None` if the key is empty.
///
/// # Errors
/// A message that continues the name of the setting. It does not repeat the key.
pub(super) fn bearer(key: &Secret) -> Result<Option<HeaderValue>, String> {
    if key.is_empty() {
        return Ok(None);
    }
    let value = HeaderValue::from_str(&format!("Bearer {}", key.reveal()));
    let mut value = value.map_err(|_| "contains characters that are not allowed in an HTTP header".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl Service {
    /// Creates the client; makes no connection. `name` is the name in errors: `clip`, `ollama`…
    ///
    /// # Errors
    /// [`Trouble::Refused`] if the settings cannot be used.
    pub(super) fn new(name: &'static str, settings: &ServiceSettings) -> Result<Self, EmbedError> {
        let wrong = |what: String| EmbedError::Dependency(failed(name, Trouble::Refused, what));
        let url = address(&settings.url).map_err(|what| wrong(format!("the URL of the service {what}")))?;
        let key = bearer(&settings.key).map_err(|what| wrong(format!("the key of the service {what}")))?;
        let http = Client::builder()
            .http1_only()
            .user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .timeout(settings.timeout)
            // A redirected POST loses its body, and the key must not be sent to another host.
            .redirect(Policy::none())
            .retry(reqwest::retry::never());
        let http = if is_loopback(&url) { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| wrong(with_causes(&error)))?;
        Ok(Self { name, http, url, key })
    }

    /// Sends `GET path` and returns the body of the reply, of at most `max_bytes`.
    pub(super) async fn get(&self, path: &str, max_bytes: usize) -> Result<Bytes, RequestError> {
        self.send(self.request(Method::GET, path), max_bytes).await
    }

    /// Sends `POST path` with a body that is already JSON, and parses the reply, of at most `max_bytes`, as `T`.
    pub(super) async fn post<T>(&self, path: &str, body: Bytes, max_bytes: usize) -> Result<T, RequestError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json").body(body);
        let bytes = self.send(request, max_bytes).await?;
        Ok(reply::parsed(self.name, bytes).await?)
    }

    /// Sends `POST path` with a small body, which is serialized here.
    pub(super) async fn post_small<B, T>(&self, path: &str, body: &B, max_bytes: usize) -> Result<T, RequestError>
    where
        B: Serialize + Sync,
        T: DeserializeOwned + Send + 'static,
    {
        let body = serde_json::to_vec(body).map_err(|error| self.failed(Trouble::Failed, error.to_string()))?;
        self.post(path, body.into(), max_bytes).await
    }

    /// Returns an error of the service itself; `detail` is for the log.
    pub(super) fn failed(&self, trouble: Trouble, detail: String) -> EmbedError {
        failed(self.name, trouble, detail).into()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/').filter(|part| !part.is_empty()));
        }
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, max_bytes: usize) -> Result<Bytes, RequestError> {
        let response = request.send().await.map_err(|error| self.connection_error(&error))?;
        let status = response.status();
        if status.is_success() {
            let body = self.body(response, max_bytes).await;
            return body.map_err(|error| RequestError { status: Some(status), error });
        }
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(parse_retry_after);
        // The status decides, even if the body cannot be read.
        let body = read_start(response, MAX_ERROR_BYTES).await;
        Err(RequestError { status: Some(status), error: status::error(self.name, status, retry_after, &body) })
    }

    async fn body(&self, mut response: Response, max_bytes: usize) -> Result<Bytes, EmbedError> {
        let too_long = || self.failed(Trouble::Failed, format!("the reply is longer than {max_bytes} bytes"));
        let declared = response.content_length().map_or(0, |declared| usize::try_from(declared).unwrap_or(usize::MAX));
        if declared > max_bytes {
            return Err(too_long());
        }
        let mut body = Vec::with_capacity(declared);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.connection_error(&error))? {
            if body.len() + chunk.len() > max_bytes {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    fn connection_error(&self, error: &reqwest::Error) -> EmbedError {
        let trouble = if error.is_timeout() { Trouble::TimedOut } else { Trouble::Failed };
        self.failed(trouble, with_causes(error))
    }
}

/// Returns the first bytes of a body; an error ends it.
async fn read_start(mut response: Response, max_bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < max_bytes
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(max_bytes);
    body
}

fn failed(name: &str, trouble: Trouble, detail: String) -> DependencyError {
    DependencyError { dependency: name.to_owned(), trouble, detail }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
