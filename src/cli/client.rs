//! The HTTP client of the commands: one request, one reply. If the service refuses a request, its message is the error.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::CliError;
use crate::api::replies::ErrorReply;
use crate::config::Settings;
use crate::domain::Secret;

/// How long a command waits for a service that does not answer. It is long enough for a restart of the service.
const RETRY_WINDOW: Duration = Duration::from_secs(30);

/// A client of one service. Its clones share the connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    key: Option<Secret>,
}

/// A successful reply, as text or parsed.
#[derive(Debug)]
pub(super) struct Reply {
    text: String,
    url: String,
}

impl Reply {
    /// The body as it was received.
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
        Self::at(&settings.place.glimpse_url, settings)
    }

    /// Returns a client of the service at `GLIMPSE_URL` without a request timeout.
    pub(super) fn without_timeout(settings: &Settings) -> Result<Self, CliError> {
        Self::build(&settings.place.glimpse_url, settings, None)
    }

    /// Returns a client of the service at this address.
    pub(super) fn at(url: &str, settings: &Settings) -> Result<Self, CliError> {
        // The service has its own timeout (GLIMPSE_REQUEST_TIMEOUT) and reports it. This one is for a service that
        // hangs.
        let timeout = settings.api.glimpse_request_timeout.duration() + Duration::from_secs(10);
        Self::build(url, settings, Some(timeout))
    }

    fn build(url: &str, settings: &Settings, timeout: Option<Duration>) -> Result<Self, CliError> {
        let wrong = || CliError::Url { url: url.to_owned() };
        let url: Url = url.parse().map_err(|_| wrong())?;
        if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            // Detects a service that disappeared without closing the connection.
            .tcp_keepalive(Duration::from_secs(30));
        let http = match timeout {
            Some(timeout) => http.timeout(timeout),
            None => http,
        };
        let http = if is_loopback(&url) { http.no_proxy() } else { http };
        let http = http.build().map_err(CliError::Client)?;
        Ok(Self { http, url, key: settings.api.keys().into_iter().next() })
    }

    /// `GET path?query`
    pub(super) async fn get<Q: Serialize + Sync + ?Sized>(&self, path: &[&str], query: &Q) -> Result<Reply, CliError> {
        self.send(self.request(Method::GET, path).query(query)).await
    }

    /// `POST path` with a JSON body.
    pub(super) async fn post<B: Serialize + Sync>(&self, path: &[&str], body: &B) -> Result<Reply, CliError> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `POST path?query` with a file.
    pub(super) async fn upload<Q: Serialize + Sync + ?Sized>(
        &self,
        path: &[&str],
        query: &Q,
        name: String,
        bytes: Bytes,
    ) -> Result<Reply, CliError> {
        let form = Form::new().part("file", Part::stream(bytes).file_name(name));
        self.send(self.request(Method::POST, path).query(query).multipart(form)).await
    }

    /// `DELETE path`
    pub(super) async fn delete(&self, path: &[&str]) -> Result<Reply, CliError> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// `GET path?query`; retries for [`RETRY_WINDOW`] while the service restarts or is busy.
    pub(super) async fn get_with_retries<Q: Serialize + Sync + ?Sized>(
        &self,
        path: &[&str],
        query: &Q,
    ) -> Result<Reply, CliError> {
        let until = Instant::now() + RETRY_WINDOW;
        loop {
            match self.get(path, query).await {
                Err(error) if error.may_pass() && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                outcome => return outcome,
            }
        }
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

    async fn send(&self, request: RequestBuilder) -> Result<Reply, CliError> {
        let url = self.url.as_str().trim_end_matches('/').to_owned();
        let broken = |source: reqwest::Error| {
            let (url, connect, source) = (url.clone(), source.is_connect(), source.without_url());
            if connect { CliError::Unreachable { url, source } } else { CliError::Lost { url, source } }
        };
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let text = response.text().await.map_err(broken)?;
        if status.is_success() {
            return Ok(Reply { text, url });
        }
        let message = serde_json::from_str::<ErrorReply>(&text).map(|reply| reply.message);
        let message = message.unwrap_or_else(|_| {
            format!(
                "{url} answers {status}, but not with an error of Glimpse; set GLIMPSE_URL to the address of a service"
            )
        });
        Err(CliError::Refused { status: status.as_u16(), message })
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Result<Client, CliError> {
        Client::at(url, &Settings::default())
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
    async fn an_unreachable_service_and_an_invalid_url_are_reported() {
        let error = at("http://127.0.0.1:1").unwrap().get(&["jobs"], &()).await.unwrap_err();
        assert!(error.may_pass());
        assert!(error.chain().contains("`glimpse serve`"), "{}", error.chain());
        assert!(matches!(at("localhost:8080").unwrap_err(), CliError::Url { .. }));
    }
}
