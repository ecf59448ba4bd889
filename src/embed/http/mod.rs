//! One embedding service over HTTP/1.1, as every adapter calls it: one pool of connections, one request, one reply, read
//! up to a bound. Neither retries nor remembers; knows nothing of images.

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

/// A connection is closed after this long without use: uvicorn, under which most of these services run, hangs up after
/// five seconds, and a request that meets its hanging up is lost. While a job runs no connection is idle that long.
const IDLE: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(5);
/// What is read of a reply that is an error: enough for its sentence.
const ERROR_BYTES: usize = 8 * 1024;

/// Where a service is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Its URL, with a path in front of the service's own where a proxy has one.
    pub url: String,
    /// Sent as `Authorization: Bearer …` where there is one.
    pub key: Secret,
    /// How long one request may take, its reply's body included.
    pub timeout: Duration,
}

/// A service and the connections to it.
#[derive(Clone, Debug)]
pub(super) struct Service {
    name: &'static str,
    http: Client,
    url: Url,
    key: Option<HeaderValue>,
}

/// No answer, or one that is none: the error, and the reply's status, where there was a reply.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) status: Option<StatusCode>,
    pub(super) error: EmbedError,
}

impl From<NoAnswer> for EmbedError {
    fn from(no: NoAnswer) -> Self {
        no.error
    }
}

impl From<EmbedError> for NoAnswer {
    fn from(error: EmbedError) -> Self {
        Self { status: None, error }
    }
}

/// `url`, where it can be the address of a service. User and password are refused: URLs are logged and shown.
///
/// # Errors
/// What is wrong with it, to be put behind the setting's name. Never the URL itself where it may hold a secret.
pub(super) fn address(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let parsed = parsed.ok_or_else(|| "is no URL; it must begin with http:// or https://".to_owned())?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("holds a user or a password; set CLIP_API_KEY instead".to_owned());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("must end with its path, without `?` and `#`".to_owned());
    }
    Ok(parsed)
}

/// `key` as the value of a header.
///
/// # Errors
/// What is wrong with it, never the key itself.
pub(super) fn bearer(key: &Secret) -> Result<Option<HeaderValue>, String> {
    if key.is_empty() {
        return Ok(None);
    }
    let value = HeaderValue::from_str(&format!("Bearer {}", key.reveal()));
    let mut value = value.map_err(|_| "holds characters that no HTTP header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl Service {
    /// Connects to nothing yet. `name` is what errors call it: `clip`, `ollama`…
    ///
    /// # Errors
    /// [`Trouble::Refused`] where the settings cannot be used.
    pub(super) fn new(name: &'static str, settings: &ServiceSettings) -> Result<Self, EmbedError> {
        let wrong = |what: String| EmbedError::Dependency(failed(name, Trouble::Refused, what));
        let url = address(&settings.url).map_err(|what| wrong(format!("its URL {what}")))?;
        let key = bearer(&settings.key).map_err(|what| wrong(format!("its key {what}")))?;
        let http = Client::builder()
            .http1_only()
            .user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION")))
            .pool_idle_timeout(IDLE)
            .connect_timeout(CONNECT.min(settings.timeout))
            .timeout(settings.timeout)
            // A redirected POST loses its body, and a key must not travel.
            .redirect(Policy::none())
            .retry(reqwest::retry::never());
        let http = if is_loopback(&url) { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| wrong(with_causes(&error)))?;
        Ok(Self { name, http, url, key })
    }

    /// `GET path`, as bytes, at most `most` of them.
    pub(super) async fn get(&self, path: &str, most: usize) -> Result<Bytes, NoAnswer> {
        self.send(self.request(Method::GET, path), most).await
    }

    /// `POST path` with a body of JSON that is made already; the reply, of at most `most` bytes, as `T`.
    pub(super) async fn post<T>(&self, path: &str, body: Bytes, most: usize) -> Result<T, NoAnswer>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json").body(body);
        let bytes = self.send(request, most).await?;
        Ok(reply::parsed(self.name, bytes).await?)
    }

    /// `POST path` with a small body.
    pub(super) async fn post_small<B, T>(&self, path: &str, body: &B, most: usize) -> Result<T, NoAnswer>
    where
        B: Serialize + Sync,
        T: DeserializeOwned + Send + 'static,
    {
        let body = serde_json::to_vec(body).map_err(|error| self.failed(Trouble::Failed, error.to_string()))?;
        self.post(path, body.into(), most).await
    }

    /// The service itself is the trouble; `detail` is for the log.
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

    async fn send(&self, request: RequestBuilder, most: usize) -> Result<Bytes, NoAnswer> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        if status.is_success() {
            let body = self.body(response, most).await;
            return body.map_err(|error| NoAnswer { status: Some(status), error });
        }
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(parse_retry_after);
        // However the reading of its words ends, the status is the answer.
        let words = beginning(response, ERROR_BYTES).await;
        Err(NoAnswer { status: Some(status), error: status::error(self.name, status, retry_after, &words) })
    }

    async fn body(&self, mut response: Response, most: usize) -> Result<Bytes, EmbedError> {
        let too_long = || self.failed(Trouble::Failed, format!("its reply is longer than {most} bytes"));
        let told = response.content_length().map_or(0, |told| usize::try_from(told).unwrap_or(usize::MAX));
        if told > most {
            return Err(too_long());
        }
        let mut body = Vec::with_capacity(told);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > most {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    fn broken(&self, error: &reqwest::Error) -> EmbedError {
        let trouble = if error.is_timeout() { Trouble::TimedOut } else { Trouble::Failed };
        self.failed(trouble, with_causes(error))
    }
}

/// The first bytes of a body, as far as they come.
async fn beginning(mut response: Response, most: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < most
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(most);
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
