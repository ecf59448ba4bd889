//! The addresses of a Weaviate server: REST for schema and readiness, gRPC for everything else.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::domain::Secret;
use crate::http::{bearer, parse_base_url};
use crate::index::InvalidStoreSettings;

/// Weaviate's gRPC port without TLS.
const GRPC_PORT: u16 = 50_051;

/// The addresses of a Weaviate server and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeaviateSettings {
    /// `WEAVIATE_URL`: its REST address.
    pub url: String,
    /// `WEAVIATE_GRPC_URL`: its gRPC address. If `None`, the host of `url` with port 50051, or 443 if `url` is `https`.
    pub grpc_url: Option<String>,
    /// `WEAVIATE_API_KEY`: sent as `Authorization: Bearer …` to both addresses, unless it is empty.
    pub api_key: Secret,
    /// The time limit of one call, including the body of the reply.
    pub timeout: Duration,
}

impl WeaviateSettings {
    /// Returns the REST address.
    pub(super) fn rest(&self) -> Result<Url, InvalidStoreSettings> {
        parse_address("WEAVIATE_URL", &self.url)
    }

    /// Returns the header with the key, if there is a key.
    pub(super) fn bearer(&self) -> Result<Option<HeaderValue>, InvalidStoreSettings> {
        bearer(&self.api_key).map_err(|problem| InvalidStoreSettings(format!("WEAVIATE_API_KEY {problem}")))
    }

    /// Returns the gRPC address.
    pub(super) fn grpc(&self) -> Result<Url, InvalidStoreSettings> {
        if let Some(url) = self.grpc_url.as_deref().filter(|url| !url.is_empty()) {
            let url = parse_address("WEAVIATE_GRPC_URL", url)?;
            if url.path() != "/" {
                return Err(InvalidStoreSettings(
                    "WEAVIATE_GRPC_URL has a path; remove it, because gRPC does not use paths".to_owned(),
                ));
            }
            return Ok(url);
        }
        let mut url = self.rest()?;
        url.set_path("");
        let port = if url.scheme() == "https" { None } else { Some(GRPC_PORT) };
        url.set_port(port).map_err(|()| InvalidStoreSettings("WEAVIATE_URL has no host".to_owned()))?;
        Ok(url)
    }
}

fn parse_address(setting: &str, url: &str) -> Result<Url, InvalidStoreSettings> {
    parse_base_url(url, Some("WEAVIATE_API_KEY"))
        .map_err(|problem| InvalidStoreSettings(format!("{setting} {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grpc_address(url: &str, grpc: Option<&str>) -> Result<String, InvalidStoreSettings> {
        let settings = WeaviateSettings {
            url: url.to_owned(),
            grpc_url: grpc.map(str::to_owned),
            api_key: Secret::default(),
            timeout: Duration::from_secs(1),
        };
        settings.rest()?;
        settings.grpc().map(|url| url.to_string())
    }

    #[test]
    fn the_grpc_address_is_derived_from_the_rest_address() {
        assert_eq!(grpc_address("http://weaviate:8080", None).unwrap(), "http://weaviate:50051/");
        assert_eq!(grpc_address("http://[::1]:8080/behind/a/proxy", Some("")).unwrap(), "http://[::1]:50051/");
        assert_eq!(grpc_address("https://x.weaviate.cloud:8443", None).unwrap(), "https://x.weaviate.cloud/");
        assert_eq!(grpc_address("http://a:1", Some("https://grpc-a")).unwrap(), "https://grpc-a/");
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_name_of_the_variable() {
        for invalid in ["weaviate:8080", "", "ftp://a", "http://", "http://user:pass@a", "http://a?b"] {
            let message = grpc_address(invalid, None).unwrap_err().to_string();
            assert!(message.starts_with("WEAVIATE_URL ") && !message.contains("pass@"), "{message}");
        }
        for invalid in ["a:50051", "http://a/b"] {
            let message = grpc_address("http://a", Some(invalid)).unwrap_err().to_string();
            assert!(message.starts_with("WEAVIATE_GRPC_URL "), "{message}");
        }
    }
}
