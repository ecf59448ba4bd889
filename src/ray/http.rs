//! Ray's dashboard over HTTP: one request, one reply, read up to a bound. It answers with JSON where all is well, and
//! with the text of a Python traceback where it is not: that goes into the log.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::settings::{RaySettings, is_here};
use crate::domain::{Secret, with_causes};
use crate::jobs::cluster::ClusterError;

/// A connection is closed after this long without use: the dashboard hangs up after 75 s, and a request that meets its
/// hanging up is lost.
const IDLE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// One request; Ray takes 5 to 40 ms.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The whole log of a driver, which cannot be had in part: 44 MB took 1.9 s.
const LOGS_TIMEOUT: Duration = Duration::from_mins(1);
/// What is read of a reply that is an error: the end of a traceback says most, and few are longer.
const ERROR_BYTES: usize = 16 * 1024;
/// Bytes of a reply other than a log.
const MAX_REPLY: usize = 1024 * 1024;

/// The dashboard and the connections to it.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
    token: Token,
    timeout: Duration,
}

/// Where the token is.
#[derive(Debug)]
enum Token {
    None,
    Given(Secret),
    /// Read for each request: it may be changed while the service runs.
    InFile(PathBuf),
}

impl Http {
    pub(super) fn new(settings: &RaySettings) -> Result<Self, String> {
        let url = settings.address()?;
        // Ray takes whoever looks like a browser for one, and refuses it.
        let client = Client::builder()
            .http1_only()
            .user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(IDLE)
            .connect_timeout(CONNECT)
            .timeout(LOGS_TIMEOUT)
            // A redirected POST loses its body, and a token must not travel.
            .redirect(Policy::none())
            .retry(reqwest::retry::never());
        let client = if is_here(&url) { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| format!("RAY_ADDRESS: {}", with_causes(&error)))?;
        let path = &settings.ray_auth_token_path;
        let token = match (settings.ray_auth_token.is_empty(), path.as_os_str().is_empty()) {
            (false, _) => Token::Given(settings.ray_auth_token.clone()),
            (true, false) => Token::InFile(path.clone()),
            (true, true) => Token::None,
        };
        Ok(Self { client, url, token, timeout: TIMEOUT })
    }

    /// The same with another limit for one request.
    pub(super) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// `METHOD path`, as the dashboard writes its paths: one that ends in `/` keeps it. The reply's status and body are
    /// the caller's to read where `status` is no error that means the same everywhere.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response, ClusterError> {
        self.send_within(self.timeout, method, path, body).await
    }

    async fn send_within(
        &self,
        timeout: Duration,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response, ClusterError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", self.url.path().trim_end_matches('/')));
        let mut request = self.client.request(method, url).timeout(timeout);
        if let Some(bearer) = self.bearer().await? {
            request = request.header(AUTHORIZATION, bearer);
        }
        if let Some((kind, body)) = body {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        request.send().await.map_err(|error| broken(&error))
    }

    async fn bearer(&self) -> Result<Option<HeaderValue>, ClusterError> {
        let token = match &self.token {
            Token::None => return Ok(None),
            Token::Given(token) => token.reveal().to_owned(),
            Token::InFile(path) => {
                let read = tokio::fs::read_to_string(path).await;
                read.map_err(|error| ClusterError::TokenFile(format!("{}: {error}", path.display())))?
            }
        };
        let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut value =
            value.map_err(|_| ClusterError::TokenFile("it holds characters that no header may have".to_owned()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// The whole log of a job, of which the last `most` bytes are kept.
    pub(super) async fn tail(&self, path: &str, most: usize) -> Result<Vec<u8>, ClusterError> {
        let mut response = checked(self.send_within(LOGS_TIMEOUT, Method::GET, path, None).await?).await?;
        let mut tail = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            tail.extend_from_slice(&chunk);
            // In large steps: what is dropped is moved over.
            if tail.len() > 4 * most {
                tail.drain(..tail.len() - most);
            }
        }
        Ok(tail)
    }
}

/// The reply, where it is a success.
pub(super) async fn checked(response: Response) -> Result<Response, ClusterError> {
    let status = response.status();
    if status.is_success() { Ok(response) } else { Err(error(status, &words(response).await)) }
}

/// A success' body as JSON.
pub(super) async fn parsed<T: DeserializeOwned>(response: Response) -> Result<T, ClusterError> {
    let mut response = checked(response).await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > MAX_REPLY {
            return Err(ClusterError::NotRay(format!("its reply is longer than {MAX_REPLY} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| {
        let what = if body.trim_ascii_start().starts_with(b"<") { "its reply is a page of HTML" } else { "its reply" };
        ClusterError::NotRay(format!("{what}: {error}"))
    })
}

/// What a reply that is no success says, as far as it comes.
pub(super) async fn words(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < ERROR_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(ERROR_BYTES);
    String::from_utf8_lossy(&body).trim().to_owned()
}

/// What a status means, wherever it comes.
pub(super) fn error(status: StatusCode, words: &str) -> ClusterError {
    let detail = format!("{status}: {words}");
    match status {
        StatusCode::UNAUTHORIZED => ClusterError::NoToken(detail),
        StatusCode::FORBIDDEN => ClusterError::WrongToken(detail),
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => ClusterError::TimedOut(detail),
        StatusCode::TOO_MANY_REQUESTS => ClusterError::Failed(detail),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => ClusterError::NotRay(detail),
        status if status.is_server_error() => ClusterError::Failed(detail),
        status if status.is_client_error() => ClusterError::Refused(detail),
        _ => ClusterError::NotRay(detail),
    }
}

fn broken(error: &reqwest::Error) -> ClusterError {
    let detail = with_causes(error);
    if error.is_timeout() { ClusterError::TimedOut(detail) } else { ClusterError::Unreachable(detail) }
}
