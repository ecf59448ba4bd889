//! The service, as its commands see it: one request, one reply; a refusal is the service's own sentence.

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

/// How long a service may be away before a command gives up on it: a restart fits in.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one service. Clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    key: Option<Secret>,
}

/// A reply that is a success: as it came, or read.
#[derive(Debug)]
pub(super) struct Reply {
    text: String,
    url: String,
}

impl Reply {
    /// As it came.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        serde_json::from_str(&self.text).map_err(|source| CliError::Foreign { url: self.url.clone(), source })
    }
}

impl Client {
    /// A client of the service at `GLIMPSE_URL`.
    pub(super) fn new(settings: &Settings) -> Result<Self, CliError> {
        Self::at(&settings.place.glimpse_url, settings)
    }

    /// The same for requests that take as long as they take.
    pub(super) fn without_timeout(settings: &Settings) -> Result<Self, CliError> {
        Self::build(&settings.place.glimpse_url, settings, None)
    }

    /// A client of the service at this address.
    pub(super) fn at(url: &str, settings: &Settings) -> Result<Self, CliError> {
        // The service gives up by itself (GLIMPSE_REQUEST_TIMEOUT) and says so; this is for one that hangs.
        let timeout = Duration::from_secs(settings.api.glimpse_request_timeout + 10);
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
            // A service that vanished without a word is noticed all the same.
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

    /// `POST path` with a body of JSON.
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

    /// `GET`, again and again while the service restarts or is busy.
    pub(super) async fn get_patiently<Q: Serialize + Sync + ?Sized>(
        &self,
        path: &[&str],
        query: &Q,
    ) -> Result<Reply, CliError> {
        let until = Instant::now() + PATIENCE;
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
            // An address may have a path of its own, where a proxy serves it.
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
        let said = serde_json::from_str::<ErrorReply>(&text).map(|reply| reply.message);
        let message = said.unwrap_or_else(|_| format!("{url} answers {status}, and not as Glimpse does"));
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
    fn paths_are_put_behind_the_address() {
        for base in ["http://h:1", "http://h:1/"] {
            let request = at(base).unwrap().request(Method::GET, &["jobs", "a/b ?"]).build().unwrap();
            assert_eq!(request.url().as_str(), "http://h:1/jobs/a%2Fb%20%3F");
        }
        let request = at("http://h/glimpse/").unwrap().request(Method::GET, &["jobs"]).build().unwrap();
        assert_eq!(request.url().as_str(), "http://h/glimpse/jobs");
    }

    #[test]
    fn the_first_key_is_shown() {
        let settings = Settings::from_variables([("GLIMPSE_API_KEY", "one, two")]).unwrap();
        let request = Client::new(&settings).unwrap().request(Method::GET, &["jobs"]).build().unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer one");
    }

    #[tokio::test]
    async fn nobody_there_is_said_plainly() {
        let error = at("http://127.0.0.1:1").unwrap().get(&["jobs"], &()).await.unwrap_err();
        assert!(error.may_pass());
        assert!(error.chain().contains("`glimpse serve`"), "{}", error.chain());
        assert!(matches!(at("localhost:8080").unwrap_err(), CliError::Url { .. }));
    }
}
