//! Weaviate's REST API, as far as it is used: classes and readiness. One request, one reply, read up to a bound.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::error::{failed, of_http, of_transport};
use super::settings::is_loopback;
use crate::domain::{Trouble, with_causes};
use crate::index::{IndexError, InvalidStore};

const CONNECT: Duration = Duration::from_secs(5);
/// What is read of a reply that is an error: enough for its sentence.
const ERROR_BYTES: usize = 8 * 1024;

/// The server and the connections to it.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    http: Client,
    url: Url,
    key: Option<HeaderValue>,
}

/// A reply that was read: its status, and its body where the status is a success, else the error that it is.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Result<Bytes, IndexError>,
}

impl Rest {
    pub(super) fn new(url: Url, key: Option<HeaderValue>, timeout: Duration) -> Result<Self, InvalidStore> {
        let http = Client::builder()
            .user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT.min(timeout))
            .timeout(timeout)
            // A redirected POST loses its body, and a key must not travel.
            .redirect(Policy::none())
            .retry(reqwest::retry::never());
        let http = if is_loopback(&url) { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| InvalidStore(format!("WEAVIATE_URL: {}", with_causes(&error))))?;
        Ok(Self { http, url, key })
    }

    /// `METHOD path`, with `body` as JSON where there is one; at most `most` bytes are read of the reply.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Vec<u8>>,
        most: usize,
    ) -> Result<Reply, IndexError> {
        self.ask(method, path, None, body, most).await
    }

    /// The same with a query.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: Option<&str>,
        body: Option<Vec<u8>>,
        most: usize,
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
        let response = request.send().await.map_err(|error| of_transport(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Reply { status, body: Ok(whole(response, most).await?) });
        }
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        // However the reading of its words ends, the status is the answer.
        let words = beginning(response).await;
        Ok(Reply { status, body: Err(of_http(status, wait.as_deref(), &words)) })
    }
}

/// A body as JSON. A page of HTML with status 200 is what a proxy says, or another kind of server.
pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, IndexError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if body.trim_ascii_start().starts_with(b"<") { "its reply is a page of HTML" } else { "its reply" };
        failed(Trouble::Failed, format!("{what}: {error}"))
    })
}

async fn whole(mut response: Response, most: usize) -> Result<Bytes, IndexError> {
    let too_long = || failed(Trouble::Failed, format!("its reply is longer than {most} bytes"));
    let told = response.content_length().map_or(0, |told| usize::try_from(told).unwrap_or(usize::MAX));
    if told > most {
        return Err(too_long());
    }
    let mut body = Vec::with_capacity(told);
    while let Some(chunk) = response.chunk().await.map_err(|error| of_transport(&error))? {
        if body.len() + chunk.len() > most {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// The first bytes of a body, as far as they come.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < ERROR_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(ERROR_BYTES);
    body
}
