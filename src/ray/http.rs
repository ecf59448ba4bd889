//! The HTTP client of Ray's dashboard. Replies are read up to a limit. A success has a JSON body; an error has the text
//! of a Python traceback, which is logged.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use super::settings::RaySettings;
use crate::domain::{Endpoint, InvalidSetting, Secret, with_causes};
use crate::http::{BodyError, bearer, client_builder, join, parse_json, read_body, read_start, send_traced};
use crate::jobs::placing::cluster::ClusterError;

/// An idle connection is closed after this time. The dashboard closes it after 75 s, and a request at that moment is
/// lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Timeout of one request. Ray needs 5 to 40 ms.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of bytes that are read of an error reply. Few tracebacks are longer.
const MAX_ERROR_BYTES: usize = 16 * 1024;
/// Maximum size of a reply, in bytes.
const MAX_REPLY: usize = 1024 * 1024;

/// A client of the dashboard, with its connections.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
    token: Token,
    timeout: Duration,
}

/// Where the token comes from.
#[derive(Debug)]
enum Token {
    None,
    Given(Secret),
    /// Read for each request, because it may change while the service runs.
    InFile(PathBuf),
}

impl Http {
    pub(super) fn new(address: &Endpoint, settings: &RaySettings) -> Result<Self, InvalidSetting> {
        let url = address.url().clone();
        // Ray refuses clients that look like a browser.
        let client = client_builder(&url).pool_idle_timeout(IDLE_TIMEOUT).build();
        let client = client.map_err(|error| format!("RAY_ADDRESS: {}", with_causes(&error)))?;
        let path = &settings.ray_auth_token_path;
        let token = match (settings.ray_auth_token.is_empty(), path.as_os_str().is_empty()) {
            (false, _) => Token::Given(settings.ray_auth_token.clone()),
            (true, false) => Token::InFile(path.clone()),
            (true, true) => Token::None,
        };
        Ok(Self { client, url, token, timeout: REQUEST_TIMEOUT })
    }

    /// Sets another timeout for requests.
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends `METHOD path`. A `/` at the end of the path is kept, because the dashboard needs it. The reply may have
    /// any status: the caller checks it.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response, ClusterError> {
        let url = join(&self.url, path.split('/'));
        let mut request = self.client.request(method, url).timeout(self.timeout);
        if let Some(bearer) = self.bearer().await? {
            request = request.header(AUTHORIZATION, bearer);
        }
        if let Some((kind, body)) = body {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        send_traced(request).await.map_err(|error| transport_error(&error))
    }

    async fn bearer(&self) -> Result<Option<HeaderValue>, ClusterError> {
        let token = match &self.token {
            Token::None => return Ok(None),
            Token::Given(token) => token.clone(),
            Token::InFile(path) => {
                let read = tokio::fs::read_to_string(path).await;
                let token = read.map_err(|error| ClusterError::TokenFile(format!("{}: {error}", path.display())))?;
                Secret::new(token.trim())
            }
        };
        bearer(&token).map_err(|problem| ClusterError::TokenFile(format!("it {problem}")))
    }
}

/// Returns the reply if it is a success, otherwise an error with its text.
pub(super) async fn checked(response: Response) -> Result<Response, ClusterError> {
    let status = response.status();
    if status.is_success() { Ok(response) } else { Err(error(status, &words(response).await)) }
}

/// Parses the JSON body of a success.
pub(super) async fn parsed<T: DeserializeOwned>(response: Response) -> Result<T, ClusterError> {
    let body = read_body(checked(response).await?, MAX_REPLY).await.map_err(|error| match error {
        BodyError::Connection(error) => transport_error(&error),
        BodyError::TooLong(_) => ClusterError::NotRay(error.to_string()),
    })?;
    parse_json(&body).map_err(ClusterError::NotRay)
}

/// Reads the text of an error reply, at most [`MAX_ERROR_BYTES`], as far as it arrives.
pub(super) async fn words(response: Response) -> String {
    String::from_utf8_lossy(&read_start(response, MAX_ERROR_BYTES).await).trim().to_owned()
}

/// Returns the error for a status, with the text of the reply.
pub(super) fn error(status: StatusCode, text: &str) -> ClusterError {
    let detail = format!("{status}: {text}");
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

fn transport_error(error: &reqwest::Error) -> ClusterError {
    let detail = with_causes(error);
    if error.is_timeout() { ClusterError::TimedOut(detail) } else { ClusterError::Unreachable(detail) }
}
