//! The HTTP client of the commands: one request, one reply.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::CliError;
use crate::api::replies::ErrorReply;
use crate::config::Settings;
use crate::domain::{Endpoint, Secret, TrustedFiles};
use crate::http::{is_this_machine, is_untrusted, trust_files};

/// How long a command that waits for a job retries requests. It is long enough for a restart of the service.
const RETRY_WINDOW: Duration = Duration::from_secs(30);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A client of one service. Its clones share the connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    key: Option<Secret>,
    retry_window: Duration,
}

/// Returns the files with certificates that a client of the service at this address trusts.
pub(super) fn trusted_files(url: &Url, settings: &Settings) -> TrustedFiles {
    let own = settings.tls.glimpse_tls_cert.clone().filter(|_| url.scheme() == "https" && is_this_machine(url));
    TrustedFiles { authorities: settings.locations.glimpse_ca_file.clone(), own }
}

/// A successful reply, as text or parsed.
#[derive(Debug)]
pub(super) struct Reply {
    text: String,
    url: String,
}

impl Reply {
    /// Returns the body as it was received.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        serde_json::from_str(&self.text).map_err(|source| CliError::InvalidReply { url: self.url.clone(), source })
    }
}

impl Client {
    /// Returns a client of the service at `GLIMPSE_URL`.
    pub(super) fn new(settings: &Settings) -> Result<Self, CliError> {
        Self::for_url(&settings.service_url(), settings)
    }

    /// Returns a client of the service at `GLIMPSE_URL` without a request timeout.
    pub(super) fn without_timeout(settings: &Settings) -> Result<Self, CliError> {
        Self::build(&settings.service_url(), settings, None)
    }

    /// Returns a client of the service at this address.
    pub(super) fn for_url(url: &Endpoint, settings: &Settings) -> Result<Self, CliError> {
        // The service has its own timeout (GLIMPSE_REQUEST_TIMEOUT) and reports it. This one is for a service that
        // hangs.
        let timeout = settings.api.glimpse_request_timeout.duration() + Duration::from_secs(10);
        Self::build(url, settings, Some(timeout))
    }

    fn build(url: &Endpoint, settings: &Settings, timeout: Option<Duration>) -> Result<Self, CliError> {
        let url = url.url().clone();
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            // Detects a service that disappeared without closing the connection.
            .tcp_keepalive(Duration::from_secs(30));
        if let Some(timeout) = timeout {
            http = http.timeout(timeout);
        }
        if is_this_machine(&url) {
            http = http.no_proxy();
        }
        let http = trust_files(http, &trusted_files(&url, settings)).map_err(CliError::Trust)?;
        let http = http.build().map_err(CliError::Client)?;
        Ok(Self { http, url, key: settings.api.keys().into_iter().next(), retry_window: Duration::ZERO })
    }

    /// Returns a client that retries `GET` for [`RETRY_WINDOW`] while the service restarts or is busy.
    pub(super) fn with_retries(&self) -> Self {
        Self { retry_window: RETRY_WINDOW, ..self.clone() }
    }

    /// `GET path?query`
    pub(super) async fn get(&self, path: &[&str], query: &impl Serialize) -> Result<Reply, CliError> {
        let until = Instant::now() + self.retry_window;
        loop {
            match self.read(self.request(Method::GET, path).query(query)).await {
                Err(error) if error.is_temporary() && Instant::now() < until => {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Returns the address of the service.
    pub(super) fn url(&self) -> String {
        self.address()
    }

    /// `GET path?query`, if the reply is a file.
    pub(super) async fn download(&self, path: &[&str], query: &impl Serialize) -> Result<Bytes, CliError> {
        let response = self.send(self.request(Method::GET, path).query(query)).await?;
        response.bytes().await.map_err(|error| self.connection_error(error))
    }

    /// `GET path?query`, if the reply is bytes that can be read again. Returns also its headers.
    pub(super) async fn read_bytes(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> Result<(HeaderMap, Bytes), CliError> {
        let until = Instant::now() + self.retry_window;
        loop {
            let read = async {
                let response = self.send(self.request(Method::GET, path).query(query)).await?;
                let headers = response.headers().clone();
                let bytes = response.bytes().await.map_err(|error| self.connection_error(error))?;
                Ok::<_, CliError>((headers, bytes))
            };
            match read.await {
                Err(error) if error.is_temporary() && Instant::now() < until => {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// `GET path?query`, if the reply is a stream of lines. Calls `each` with every line as soon as it arrives.
    pub(super) async fn lines(
        &self,
        path: &[&str],
        query: &impl Serialize,
        mut each: impl FnMut(&[u8]) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let mut response = self.send(self.request(Method::GET, path).query(query)).await?;
        let mut rest = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.connection_error(error))? {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                each(&rest[..end])?;
                rest.drain(..=end);
            }
        }
        Ok(())
    }

    /// `POST path` with a JSON body.
    pub(super) async fn post(&self, path: &[&str], body: &impl Serialize) -> Result<Reply, CliError> {
        self.read(self.request(Method::POST, path).json(body)).await
    }

    /// `PUT path` with a JSON body.
    pub(super) async fn put(&self, path: &[&str], body: &impl Serialize) -> Result<Reply, CliError> {
        self.read(self.request(Method::PUT, path).json(body)).await
    }

    /// `PUT path?query` with the bytes of a file.
    pub(super) async fn put_file(
        &self,
        path: &[&str],
        query: &impl Serialize,
        bytes: Bytes,
    ) -> Result<Reply, CliError> {
        self.read(self.request(Method::PUT, path).query(query).body(bytes)).await
    }

    /// `POST path?query` with a file.
    pub(super) async fn upload(
        &self,
        path: &[&str],
        query: &impl Serialize,
        name: String,
        bytes: Bytes,
    ) -> Result<Reply, CliError> {
        let form = Form::new().part("file", Part::stream(bytes).file_name(name));
        self.read(self.request(Method::POST, path).query(query).multipart(form)).await
    }

    /// `DELETE path?query`
    pub(super) async fn delete(&self, path: &[&str], query: &impl Serialize) -> Result<Reply, CliError> {
        self.read(self.request(Method::DELETE, path).query(query)).await
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // The address may have a path, for example behind a proxy.
            segments.pop_if_empty().extend(path);
        }
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) => request.bearer_auth(key.reveal()),
            None => request,
        }
    }

    async fn read(&self, request: RequestBuilder) -> Result<Reply, CliError> {
        let text = self.send(request).await?.text().await.map_err(|error| self.connection_error(error))?;
        Ok(Reply { text, url: self.address() })
    }

    /// Sends a request. If the service refuses it, its message is the error.
    async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let response = request.send().await.map_err(|error| self.connection_error(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.map_err(|error| self.connection_error(error))?;
        let message = match serde_json::from_str::<ErrorReply>(&text) {
            // The message of the service is about headers.
            Ok(_) if status == StatusCode::UNAUTHORIZED => return Err(self.unauthorized()),
            Ok(reply) => reply.message,
            Err(_) => format!(
                "{} answers {status}, but not with an error of Glimpse; set GLIMPSE_URL to the address of a service",
                self.address()
            ),
        };
        Err(CliError::Refused { status: status.as_u16(), message })
    }

    /// Returns the error for a line that is not valid.
    pub(super) fn invalid_line(&self, source: serde_json::Error) -> CliError {
        CliError::InvalidReply { url: self.address(), source }
    }

    fn unauthorized(&self) -> CliError {
        let url = self.address();
        let message = match &self.key {
            None => format!("the service at {url} needs an API key: set GLIMPSE_API_KEY to it"),
            Some(_) => format!(
                "the service at {url} does not accept the API key: set GLIMPSE_API_KEY to a valid key of the service (of \
                 several, the first one is sent)"
            ),
        };
        CliError::Refused { status: StatusCode::UNAUTHORIZED.as_u16(), message }
    }

    fn connection_error(&self, error: reqwest::Error) -> CliError {
        let (url, connect, source) = (self.address(), error.is_connect(), error.without_url());
        if is_untrusted(&source) {
            return CliError::Untrusted { url, source };
        }
        if connect { CliError::Unreachable { url, source } } else { CliError::Lost { url, source } }
    }

    fn address(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Result<Client, CliError> {
        Client::for_url(&url.parse().unwrap(), &Settings::default())
    }

    #[test]
    fn paths_are_appended_to_the_address() {
        for base in ["http://h:1", "http://h:1/"] {
            let request = at(base).unwrap().request(Method::GET, &["jobs", "a/b ?"]).build().unwrap();
            assert_eq!(request.url().as_str(), "http://h:1/jobs/a%2Fb%20%3F");
        }
        let request = at("http://h/glimpse/").unwrap().request(Method::GET, &["jobs"]).build().unwrap();
        assert_eq!(request.url().as_str(), "http://h/glimpse/jobs");
    }

    #[test]
    fn the_first_api_key_is_sent() {
        let settings = Settings::from_variables([("GLIMPSE_API_KEY", "one, two")]).unwrap();
        let request = Client::new(&settings).unwrap().request(Method::GET, &["jobs"]).build().unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer one");
    }

    #[tokio::test]
    async fn an_unreachable_service_is_reported() {
        let error = at("http://127.0.0.1:1").unwrap().get(&["jobs"], &()).await.unwrap_err();
        assert!(error.is_temporary());
        assert!(error.chain().contains("`glimpse serve`"), "{}", error.chain());
    }
}
