//! The addresses of a Weaviate server: REST for schema and readiness, gRPC for everything else.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::domain::{Endpoint, InvalidSetting, Secret};

use crate::http::bearer;
use crate::index::Quantization;

/// Weaviate's gRPC port without TLS.
const GRPC_PORT: u16 = 50_051;

/// The addresses of a Weaviate server and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeaviateSettings {
    /// `WEAVIATE_URL`: its REST address.
    pub url: Endpoint,
    /// `WEAVIATE_GRPC_URL`: its gRPC address. If `None`, the host of `url` with port 50051, or 443 if `url` is `https`.
    pub grpc_url: Option<Endpoint>,
    /// `WEAVIATE_API_KEY`: sent as `Authorization: Bearer …` to both addresses, unless it is empty.
    pub api_key: Secret,
    /// The time limit of one call, including the body of the reply.
    pub timeout: Duration,
    /// `VECTOR_DB_QUANTIZATION`, for collections that are created.
    pub quantization: Quantization,
}

impl WeaviateSettings {
    /// Returns the header with the key, if there is a key.
    pub(super) fn bearer(&self) -> Result<Option<HeaderValue>, InvalidSetting> {
        bearer(&self.api_key).map_err(|problem| InvalidSetting(format!("WEAVIATE_API_KEY {problem}")))
    }

    /// Returns the gRPC address.
    pub(super) fn grpc(&self) -> Url {
        if let Some(endpoint) = &self.grpc_url {
            return endpoint.url().clone();
        }
        let mut url = self.url.url().clone();
        url.set_path("");
        let port = if url.scheme() == "https" { None } else { Some(GRPC_PORT) };
        // Fails only for a URL without a host, which an `Endpoint` has.
        url.set_port(port).ok();
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grpc_address_is_derived_from_the_rest_address() {
        for (url, grpc_url, expected) in [
            ("http://weaviate:8080", None, "http://weaviate:50051/"),
            ("http://[::1]:8080/behind/a/proxy", None, "http://[::1]:50051/"),
            ("https://x.weaviate.cloud:8443", None, "https://x.weaviate.cloud/"),
            ("http://a:1", Some("https://grpc-a"), "https://grpc-a/"),
        ] {
            let (url, grpc_url) = (Endpoint::from_static(url), grpc_url.map(Endpoint::from_static));
            let settings = WeaviateSettings {
                url,
                grpc_url,
                api_key: Secret::default(),
                timeout: Duration::from_secs(1),
                quantization: Quantization::Int8,
            };
            assert_eq!(settings.grpc().as_str(), expected);
        }
    }
}
