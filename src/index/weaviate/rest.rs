//! The used parts of Weaviate's REST API: classes and readiness. The size of a reply is bounded.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::error::{failed, from_http_reply, from_transport_error};
use super::settings::is_loopback;
use crate::domain::{Trouble, with_causes};
use crate::index::{IndexError, InvalidStore};

/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The bytes that are read of an error reply, which is enough for its message.
const MAX_ERROR_BYTES: usize = 8 * 1024;

/// The server and the connections to it.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    http: Client,
    url: Url,
    key: Option<HeaderValue>,
}

/// The status of a reply, and its body if the status is a success, or the error otherwise.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Result<Bytes, IndexError>,
}

impl Rest {
    pub(super) fn new(url: Url, key: Option<HeaderValue>, timeout: Duration) -> Result<Self, InvalidStore> {
        let http = Client::builder()
            .user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            // A redirected POST loses its body, and the key must not be sent to another host.
            .redirect(Policy::none())
            .retry(reqwest::retry::never());
        let http = if is_loopback(&url) { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| InvalidStore(format!("WEAVIATE_URL: {}", with_causes(&error))))?;
        Ok(Self { http, url, key })
    }

    /// Sends a request with an optional JSON body. Fails if the body of the reply has more than `max_bytes`.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Vec<u8>>,
        max_bytes: usize,
    ) -> Result<Reply, IndexError> {
        self.ask(method, path, None, body, max_bytes).await
    }

    /// Does the same with an optional query string.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: Option<&str>,
        body: Option<Vec<u8>>,
        max_bytes: usize,
    ) -> Result<Reply, IndexError> {
        let mut url = self.url.clone();
        url.set_query(query);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let mut request = self.http.request(method, url);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.clone());
        }
        if let Some(body) = body {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| from_transport_error(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Reply { status, body: Ok(read_body(response, max_bytes).await?) });
        }
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // If the body cannot be read, the status alone decides.
        let message = read_error_body(response).await;
        Ok(Reply { status, body: Err(from_http_reply(status, wait.as_deref(), &message)) })
    }
}

/// Parses a body as JSON. A proxy or another kind of server may reply with an HTML page and status 200.
pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, IndexError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if body.trim_ascii_start().starts_with(b"<") { "the reply is an HTML page" } else { "the reply" };
        failed(Trouble::Failed, format!("{what}: {error}"))
    })
}

async fn read_body(mut response: Response, max_bytes: usize) -> Result<Bytes, IndexError> {
    let too_long = || failed(Trouble::Failed, format!("the reply is longer than {max_bytes} bytes"));
    let length = response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if length > max_bytes {
        return Err(too_long());
    }
    let mut body = Vec::with_capacity(length);
    while let Some(chunk) = response.chunk().await.map_err(|error| from_transport_error(&error))? {
        if body.len() + chunk.len() > max_bytes {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// Reads the first bytes of a body, up to [`ERROR_BYTES`] or to the first error.
async fn read_error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < MAX_ERROR_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(MAX_ERROR_BYTES);
    body
}
