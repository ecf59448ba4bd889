//! The client of a REST API.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, StatusCode, Url};

use super::{
    BodyError, failure_kind, is_this_machine, join, one_line, read_body, read_start, retry_after, send_traced,
};
use crate::domain::{DependencyError, FailureKind, with_causes};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum bytes that are read of an error reply, enough for its message.
const MAX_ERROR_BYTES: usize = 8 * 1024;

/// Returns a builder for the client of one server. Callers add their timeouts.
pub(crate) fn client_builder(base: &Url) -> ClientBuilder {
    let builder = Client::builder()
        .http1_only()
        .user_agent(concat!("glimpse/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirected POST loses its body, and the key must not be sent to another host.
        .redirect(Policy::none())
        .retry(reqwest::retry::never());
    if is_this_machine(base) { builder.no_proxy() } else { builder }
}

/// A client of one server, with its connections.
#[derive(Clone, Debug)]
pub(crate) struct RestClient {
    name: &'static str,
    client: Client,
    base: Url,
    bearer: Option<HeaderValue>,
}

/// A failed request: the error, and the status of the reply, if there was a reply.
#[derive(Debug)]
pub(crate) struct HttpError {
    pub(crate) status: Option<StatusCode>,
    pub(crate) error: DependencyError,
}

impl RestClient {
    /// Creates a client; makes no network call. `name` is the name of the dependency in errors.
    ///
    /// # Errors
    /// The message of the HTTP library.
    pub(crate) fn new(
        name: &'static str,
        base: Url,
        bearer: Option<HeaderValue>,
        builder: ClientBuilder,
    ) -> Result<Self, String> {
        Ok(Self { name, client: builder.build().map_err(|error| with_causes(&error))?, base, bearer })
    }

    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let request = self.client.request(method, join(&self.base, path.iter().copied()));
        match &self.bearer {
            Some(bearer) => request.header(AUTHORIZATION, bearer.clone()),
            None => request,
        }
    }

    /// Sends `GET path`; see [`Self::send`].
    pub(crate) async fn get(&self, path: &[&str], max_bytes: usize) -> Result<Bytes, HttpError> {
        self.send(self.request(Method::GET, path), max_bytes).await
    }

    /// Sends `POST path` with a body that is already JSON; see [`Self::send`].
    pub(crate) async fn post(&self, path: &[&str], body: Bytes, max_bytes: usize) -> Result<Bytes, HttpError> {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json").body(body);
        self.send(request, max_bytes).await
    }

    /// Sends a request. Returns the body of a success, of at most `max_bytes`.
    pub(crate) async fn send(&self, request: RequestBuilder, max_bytes: usize) -> Result<Bytes, HttpError> {
        let no_reply = |error| HttpError { status: None, error: self.connection_error(&error) };
        let response = send_traced(request).await.map_err(no_reply)?;
        let status = response.status();
        let error = if status.is_success() {
            match read_body(response, max_bytes).await {
                Ok(body) => return Ok(body),
                Err(BodyError::Connection(error)) => self.connection_error(&error),
                Err(error @ BodyError::TooLong(_)) => self.error(FailureKind::Failed, error.to_string()),
            }
        } else {
            let kind = failure_kind(status, retry_after(response.headers()));
            // If the body cannot be read, the status alone decides.
            let message = read_start(response, MAX_ERROR_BYTES).await;
            self.error(kind, format!("{status}: {}", one_line(&message)))
        };
        Err(HttpError { status: Some(status), error })
    }

    /// Returns an error of the server; `detail` is for the log.
    pub(crate) fn error(&self, failure: FailureKind, detail: String) -> DependencyError {
        DependencyError { dependency: self.name.to_owned(), failure, detail }
    }

    fn connection_error(&self, error: &reqwest::Error) -> DependencyError {
        let kind = if error.is_timeout() { FailureKind::TimedOut } else { FailureKind::Failed };
        self.error(kind, with_causes(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use crate::http::bearer;

    fn client() -> RestClient {
        let base = Url::parse("http://127.0.0.1:1").unwrap();
        let builder = client_builder(&base);
        RestClient::new("clip", base, bearer(&Secret::new("hush")).unwrap(), builder).unwrap()
    }

    #[test]
    fn the_key_is_sent_and_never_printed() {
        let client = client();
        let request = client.request(Method::GET, &["a"]).build().unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer hush");
        assert!(!format!("{client:?}{request:?}").contains("hush"));
    }

    #[tokio::test]
    async fn a_refused_connection_is_a_failure_with_its_cause() {
        let client = client();
        let HttpError { status, error } = client.get(&[], 9).await.unwrap_err();
        assert_eq!((error.failure, status), (FailureKind::Failed, None));
        assert!(error.detail.to_lowercase().contains("refused"), "{}", error.detail);
    }
}
