//! The settings of the HTTP API: addresses, keys and limits.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::auth::parse_origin;
use crate::domain::{Secret, words};

/// The settings of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiSettings {
    /// `GLIMPSE_ADDR`: the address that the service listens on; `127.0.0.1:8080` by default.
    pub glimpse_addr: String,
    /// `GLIMPSE_API_KEY`: one or several keys, comma-separated; empty (default): no key, and loopback only.
    pub glimpse_api_key: Secret,
    /// `GLIMPSE_ALLOW_ANONYMOUS`: allow other addresses than loopback without a key; `false` by default.
    pub glimpse_allow_anonymous: bool,
    /// `GLIMPSE_CORS_ORIGINS`: origins of other sites whose pages may call the API, comma-separated; empty (default):
    /// none.
    pub glimpse_cors_origins: String,
    /// `GLIMPSE_PUBLIC_URL`: the address at which browsers reach the service through a proxy, such as
    /// `https://photos.example`; empty (default): the address in the request.
    pub glimpse_public_url: String,
    /// `GLIMPSE_REQUEST_TIMEOUT`: seconds until a request is cancelled, with 408 if its body has not arrived, otherwise
    /// with 504; 60 by default.
    pub glimpse_request_timeout: u64,
    /// `K8S_NAMESPACE`: returned in the reply to a submitted job, for compatibility with iNatInq; `ml-system` by
    /// default.
    pub k8s_namespace: String,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            glimpse_addr: "127.0.0.1:8080".to_owned(),
            glimpse_api_key: Secret::default(),
            glimpse_allow_anonymous: false,
            glimpse_cors_origins: String::new(),
            glimpse_public_url: String::new(),
            glimpse_request_timeout: 60,
            k8s_namespace: "ml-system".to_owned(),
        }
    }
}

impl ApiSettings {
    /// Returns the address to listen on.
    ///
    /// # Errors
    /// A message that names the setting and what is allowed.
    pub fn addr(&self) -> Result<SocketAddr, String> {
        let wrong = || format!("GLIMPSE_ADDR is `{}`; it must be IP:PORT, such as 127.0.0.1:8080", self.glimpse_addr);
        self.glimpse_addr.parse().map_err(|_| wrong())
    }

    /// Returns the valid API keys.
    pub fn keys(&self) -> Vec<Secret> {
        words(self.glimpse_api_key.reveal()).into_iter().map(Secret::new).collect()
    }

    /// Returns the origins of other sites whose pages may call the API.
    pub fn origins(&self) -> Vec<String> {
        words(&self.glimpse_cors_origins).iter().filter_map(|origin| parse_origin(origin).ok()).collect()
    }

    /// Returns the origin of `GLIMPSE_PUBLIC_URL`, if it is set.
    pub fn public_origin(&self) -> Option<String> {
        parse_origin(&self.glimpse_public_url).ok()
    }

    /// Checks the settings, as far as possible without a network call.
    ///
    /// # Errors
    /// A message that names the setting and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        let addr = self.addr()?;
        if !addr.ip().is_loopback() && self.keys().is_empty() && !self.glimpse_allow_anonymous {
            return Err(format!(
                "GLIMPSE_ADDR is {addr}, which other machines can reach, and GLIMPSE_API_KEY is not set: \
                 set a key, or set GLIMPSE_ALLOW_ANONYMOUS=true to allow access without a key"
            ));
        }
        for origin in words(&self.glimpse_cors_origins) {
            parse_origin(&origin).map_err(|reason| format!("GLIMPSE_CORS_ORIGINS has `{origin}`: {reason}"))?;
        }
        if !self.glimpse_public_url.is_empty() {
            let url = &self.glimpse_public_url;
            parse_origin(url).map_err(|reason| format!("GLIMPSE_PUBLIC_URL is `{url}`: {reason}"))?;
        }
        if !(1..=3600).contains(&self.glimpse_request_timeout) {
            let seconds = self.glimpse_request_timeout;
            return Err(format!("GLIMPSE_REQUEST_TIMEOUT is {seconds}; it must be between 1 and 3600 seconds"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_from_other_machines_needs_a_key_or_an_explicit_setting() {
        let open = ApiSettings { glimpse_addr: "0.0.0.0:8080".into(), ..ApiSettings::default() };
        assert!(open.validate().unwrap_err().contains("GLIMPSE_API_KEY"));
        ApiSettings { glimpse_api_key: Secret::new("k"), ..open.clone() }.validate().unwrap();
        ApiSettings { glimpse_allow_anonymous: true, ..open }.validate().unwrap();
        ApiSettings { glimpse_addr: "[::1]:0".into(), ..ApiSettings::default() }.validate().unwrap();
        assert!(ApiSettings { glimpse_addr: "localhost".into(), ..ApiSettings::default() }.validate().is_err());
    }
}
