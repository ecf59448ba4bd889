//! Where Weaviate is: one address for schema and readiness, one for everything else.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use crate::domain::Secret;
use crate::index::InvalidStore;

/// Weaviate's gRPC port where it is not behind TLS.
const GRPC_PORT: u16 = 50_051;

/// Where a Weaviate server is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeaviateSettings {
    /// `WEAVIATE_URL`: its REST address.
    pub url: String,
    /// `WEAVIATE_GRPC_URL`: its gRPC address; `None`: the host of `url`, with port 50051, or 443 where that is `https`.
    pub grpc_url: Option<String>,
    /// `WEAVIATE_API_KEY`: sent as `Authorization: Bearer …` on both, where there is one.
    pub api_key: Secret,
    /// How long one call may take, its reply's body included.
    pub timeout: Duration,
}

impl WeaviateSettings {
    /// The REST address.
    pub(super) fn rest(&self) -> Result<Url, InvalidStore> {
        address("WEAVIATE_URL", &self.url)
    }

    /// The gRPC address.
    pub(super) fn grpc(&self) -> Result<Url, InvalidStore> {
        if let Some(url) = self.grpc_url.as_deref().filter(|url| !url.is_empty()) {
            let url = address("WEAVIATE_GRPC_URL", url)?;
            if url.path() != "/" {
                return Err(InvalidStore("WEAVIATE_GRPC_URL has a path; gRPC knows none".to_owned()));
            }
            return Ok(url);
        }
        let mut url = self.rest()?;
        url.set_path("");
        let port = if url.scheme() == "https" { None } else { Some(GRPC_PORT) };
        url.set_port(port).map_err(|()| InvalidStore("WEAVIATE_URL has no host".to_owned()))?;
        Ok(url)
    }
}

/// `url`, where it can be the address of a server. User and password are refused: URLs are logged and shown.
fn address(variable: &str, url: &str) -> Result<Url, InvalidStore> {
    let wrong = |what: &str| InvalidStore(format!("{variable} {what}"));
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let parsed = parsed.ok_or_else(|| wrong("is no URL; it must begin with http:// or https://"))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong("holds a user or a password; set WEAVIATE_API_KEY instead"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(wrong("must be an address, without `?` and `#`"));
    }
    Ok(parsed)
}

/// Whether this machine is meant, which no proxy stands in front of.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str, grpc: Option<&str>) -> Result<String, InvalidStore> {
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
    fn the_grpc_address_follows_from_the_other() {
        assert_eq!(at("http://weaviate:8080", None).unwrap(), "http://weaviate:50051/");
        assert_eq!(at("http://[::1]:8080/behind/a/proxy", Some("")).unwrap(), "http://[::1]:50051/");
        assert_eq!(at("https://x.weaviate.cloud:8443", None).unwrap(), "https://x.weaviate.cloud/");
        assert_eq!(at("http://a:1", Some("https://grpc-a")).unwrap(), "https://grpc-a/");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_by_the_variables_name() {
        for wrong in ["weaviate:8080", "", "ftp://a", "http://", "http://user:pass@a", "http://a?b"] {
            let said = at(wrong, None).unwrap_err().to_string();
            assert!(said.starts_with("WEAVIATE_URL ") && !said.contains("pass@"), "{said}");
        }
        for wrong in ["a:50051", "http://a/b"] {
            let said = at("http://a", Some(wrong)).unwrap_err().to_string();
            assert!(said.starts_with("WEAVIATE_GRPC_URL "), "{said}");
        }
    }
}
