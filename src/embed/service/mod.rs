//! The client of an embedding service, used by all adapters. Does not retry or cache, and does not depend on images.

mod reply;

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EmbedError;
use crate::domain::{DependencyError, Endpoint, FailureKind, Secret};
use crate::http::{HttpError, RestClient, bearer, client_builder};

/// Idle connections are closed after this time. Most of these services run under uvicorn, which closes a connection
/// after five idle seconds, and a request that is sent at that moment is lost. During a job no connection is idle that
/// long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// URL, key and timeout of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSettings {
    /// URL of the service. Its path, if any, is the prefix of all routes, for a service behind a proxy.
    pub url: Endpoint,
    /// Sent as `Authorization: Bearer …` if it is not empty.
    pub key: Secret,
    /// Timeout of one request, including the body of its reply.
    pub timeout: Duration,
}

/// A client of one service, with its connections.
#[derive(Clone, Debug)]
pub(super) struct Service {
    name: &'static str,
    client: RestClient,
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

/// Some statuses are about the input, and 501 is about the model.
impl From<HttpError> for RequestError {
    fn from(HttpError { status, mut error }: HttpError) -> Self {
        if let Some(
            refusal @ (StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY),
        ) = status
        {
            let DependencyError { dependency, detail, .. } = error;
            // The body may show internals of the service or repeat the input, so only the log gets it.
            tracing::warn!(provider = dependency, detail, "the embedding provider refused an input");
            let message = format!("{dependency} replied {refusal}; the log has the details");
            return Self { status, error: EmbedError::Rejected(message) };
        }
        // A retry does not help: Ollama replies this for a model that makes no embeddings.
        if status == Some(StatusCode::NOT_IMPLEMENTED) {
            error.failure = FailureKind::Refused;
        }
        Self { status, error: error.into() }
    }
}

impl Service {
    /// Creates the client; makes no network call. `name` is the name in errors: `clip`, `ollama`…
    ///
    /// # Errors
    /// [`FailureKind::Refused`] if the settings cannot be used.
    pub(super) fn new(name: &'static str, settings: &ServiceSettings) -> Result<Self, EmbedError> {
        let client = || {
            let url = settings.url.url().clone();
            let key = bearer(&settings.key).map_err(|problem| format!("the key of the service {problem}"))?;
            let builder = client_builder(&url).pool_idle_timeout(IDLE_TIMEOUT).timeout(settings.timeout);
            RestClient::new(name, url, key, builder)
        };
        Ok(Self { name, client: client().map_err(|detail| failed(name, FailureKind::Refused, detail))? })
    }

    /// Sends `GET path` and returns the body of the reply, of at most `max_bytes`.
    pub(super) async fn get(&self, path: &str, max_bytes: usize) -> Result<Bytes, RequestError> {
        Ok(self.client.get(&segments(path), max_bytes).await?)
    }

    /// Sends `POST path` with a body that is already JSON, and parses the reply, of at most `max_bytes`, as `T`.
    pub(super) async fn post<T>(&self, path: &str, body: Bytes, max_bytes: usize) -> Result<T, RequestError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let reply = self.client.post(&segments(path), body, max_bytes).await?;
        Ok(reply::parse(self.name, reply).await?)
    }

    /// Sends `POST path` with a small body, which is serialized here.
    pub(super) async fn post_small<B, T>(&self, path: &str, body: &B, max_bytes: usize) -> Result<T, RequestError>
    where
        B: Serialize + Sync,
        T: DeserializeOwned + Send + 'static,
    {
        let body = serde_json::to_vec(body).map_err(|error| self.failed(FailureKind::Failed, error.to_string()))?;
        self.post(path, body.into(), max_bytes).await
    }

    /// Returns an error of the service itself; `detail` is for the log.
    pub(super) fn failed(&self, failure: FailureKind, detail: String) -> EmbedError {
        failed(self.name, failure, detail)
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

fn failed(name: &str, failure: FailureKind, detail: String) -> EmbedError {
    DependencyError { dependency: name.to_owned(), failure, detail }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(url: &str, key: &str) -> Result<Service, EmbedError> {
        let (url, key) = (url.parse().unwrap(), Secret::new(key));
        Service::new("clip", &ServiceSettings { url, key, timeout: Duration::from_secs(1) })
    }

    #[test]
    fn a_path_is_appended_to_the_url() {
        for (base, path, expected) in [
            ("http://h:1", "/embedding/image", "http://h:1/embedding/image"),
            ("http://h:1/", "/", "http://h:1/"),
            ("https://h/v1/", "/embeddings", "https://h/v1/embeddings"),
        ] {
            let request = service(base, "").unwrap().client.request(reqwest::Method::GET, &segments(path));
            assert_eq!(request.build().unwrap().url().as_str(), expected);
        }
    }

    #[test]
    fn an_invalid_key_is_refused_and_not_repeated() {
        let error = service("http://h", "hush\n").unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
        assert!(matches!(error, EmbedError::Dependency(down) if down.failure == FailureKind::Refused));
    }

    #[test]
    fn a_status_can_be_about_the_input_or_the_model() {
        let error = |status: u16| {
            let error = DependencyError {
                dependency: "clip".to_owned(),
                failure: FailureKind::Failed,
                detail: "/srv".to_owned(),
            };
            RequestError::from(HttpError { status: StatusCode::from_u16(status).ok(), error }).error
        };
        for input in [400, 413, 415, 422] {
            assert!(matches!(error(input), EmbedError::Rejected(message) if !message.contains("/srv")), "{input}");
        }
        let failure = |status| match error(status) {
            EmbedError::Dependency(down) => down.failure,
            other => panic!("{other}"),
        };
        assert_eq!((failure(501), failure(500)), (FailureKind::Refused, FailureKind::Failed));
    }
}
