//! The used parts of Weaviate's REST API: classes and readiness.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};

use super::NAME;
use crate::http::{HttpError, RestClient, client_builder};
use crate::index::InvalidStore;

/// The server and the connections to it.
#[derive(Clone, Debug)]
pub(super) struct Rest(RestClient);

impl Rest {
    pub(super) fn new(url: Url, key: Option<HeaderValue>, timeout: Duration) -> Result<Self, InvalidStore> {
        let builder = client_builder(&url).timeout(timeout);
        let client = RestClient::new(NAME, url, key, builder);
        Ok(Self(client.map_err(|error| InvalidStore(format!("WEAVIATE_URL: {error}")))?))
    }

    pub(super) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.0.request(method, ["v1"].into_iter().chain(path.iter().copied()))
    }

    /// Sends a request. Fails if the body of the reply has more than `max_bytes`.
    pub(super) async fn send(&self, request: RequestBuilder, max_bytes: usize) -> Result<Bytes, HttpError> {
        self.0.send(request, max_bytes).await
    }

    /// Sends a request without a body.
    pub(super) async fn call(&self, method: Method, path: &[&str], max_bytes: usize) -> Result<Bytes, HttpError> {
        self.send(self.request(method, path), max_bytes).await
    }

    /// Sends a request with a JSON body.
    pub(super) async fn post(&self, path: &[&str], body: Vec<u8>, max_bytes: usize) -> Result<Bytes, HttpError> {
        let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json").body(body);
        self.send(request, max_bytes).await
    }
}
