//! Weaviate as a store: the contract and more against a real server at `WEAVIATE_URL`, `WEAVIATE_GRPC_URL` and
//! `WEAVIATE_API_KEY` (`make test-servers` starts one), and errors against a fake. Everything that a test creates
//! there is removed, also if it fails.

mod effort;
mod exact;
pub(crate) mod failure;
pub(crate) mod fake;
mod real;
mod wrong_class;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use glimpse::domain::{CollectionName, Endpoint, Secret};
use glimpse::index::weaviate::{WeaviateIndex, WeaviateSettings};
use glimpse::index::{ImageIndex as _, Quantization};

use crate::contract::index::support::{name, run};
use crate::support::environment::{skip, variable};

/// A real server.
pub(crate) struct Server {
    pub(crate) index: WeaviateIndex,
    settings: WeaviateSettings,
    http: reqwest::Client,
}

impl Server {
    /// The server that the environment names, if any.
    pub(crate) fn real() -> Option<Self> {
        let Some(url) = variable("WEAVIATE_URL") else {
            skip("weaviate", "set WEAVIATE_URL");
            return None;
        };
        let api_key = Secret::new(variable("WEAVIATE_API_KEY").unwrap_or_default());
        let timeout = Duration::from_mins(1);
        let grpc_url = variable("WEAVIATE_GRPC_URL").map(|url| url.parse().unwrap());
        let settings = WeaviateSettings {
            url: url.parse().unwrap(),
            grpc_url,
            api_key,
            timeout,
            quantization: Quantization::Int8,
        };
        let http = reqwest::Client::builder().no_proxy().timeout(timeout).build().unwrap();
        Some(Self { index: WeaviateIndex::new(settings.clone()).unwrap(), settings, http })
    }

    /// Its REST address and its gRPC address.
    pub(crate) fn addresses(&self) -> (&str, &str) {
        (self.settings.url.as_str(), self.settings.grpc_url.as_ref().map_or("", Endpoint::as_str))
    }

    /// Its key; empty if it has none.
    pub(crate) fn key(&self) -> &str {
        self.settings.api_key.reveal()
    }

    /// Runs the test, then removes every collection of this run whose name starts with `prefix`, and the class of that
    /// name.
    async fn cleaned(&self, prefix: &str, test: impl Future<Output = ()>) {
        let outcome = AssertUnwindSafe(test).catch_unwind().await;
        for info in self.index.collections().await.unwrap() {
            let name = info.name.as_str();
            if name.starts_with(prefix) && name.ends_with(run()) {
                self.index.drop_collection(&info.name).await.ok();
            }
        }
        let class = name(prefix).weaviate_class();
        self.rest(reqwest::Method::DELETE, &format!("schema/{class}"), None).await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    /// Sends a REST request, to act as another application.
    async fn rest(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> (u16, serde_json::Value) {
        let request =
            self.http.request(method, format!("{}/v1/{path}", self.settings.url.as_str().trim_end_matches('/')));
        let key = self.settings.api_key.reveal();
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    /// The class of `collection` in the server.
    async fn class_of(&self, collection: &CollectionName) -> (u16, serde_json::Value) {
        self.rest(reqwest::Method::GET, &format!("schema/{}", collection.weaviate_class()), None).await
    }
}
