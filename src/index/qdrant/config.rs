//! The settings of a Qdrant server, and the address of its gRPC port.

use std::time::Duration;

use crate::domain::{Endpoint, InvalidSetting, Secret};
use crate::index::Quantization;

/// Qdrant's gRPC port. Its Rust client supports no other protocol.
const GRPC_PORT: u16 = 6334;
/// Qdrant's REST port, which its documentation and most settings use.
const REST_PORT: u16 = 6333;

/// The address of the server and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QdrantSettings {
    /// `QDRANT_URL`; see [`grpc_url`].
    pub url: Endpoint,
    /// `QDRANT_API_KEY`; if empty, no key is sent.
    pub api_key: Secret,
    /// `VECTOR_DB_TIMEOUT`: the time limit of one call.
    pub timeout: Duration,
    /// `VECTOR_DB_QUANTIZATION`, for collections that are created.
    pub quantization: Quantization,
}

/// Returns the address of the gRPC port, and whether it was derived from the REST port.
pub fn grpc_url(endpoint: &Endpoint) -> (String, bool) {
    let (url, port) = (endpoint.url(), endpoint.port());
    let (derived, port) = match port {
        Some(REST_PORT) => (true, GRPC_PORT),
        port => (false, port.unwrap_or(GRPC_PORT)),
    };
    (format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or_default()), derived)
}

/// Checks a key.
///
/// # Errors
/// Returns [`InvalidSetting`] if a header cannot contain the key. The message does not repeat it.
pub(in crate::index) fn check_key(key: &Secret) -> Result<(), InvalidSetting> {
    if key.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let message = "QDRANT_API_KEY contains a space, a line break or a non-ASCII character; remove it";
    Err(InvalidSetting(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_port_and_a_missing_port_become_the_grpc_port() {
        for (given, used, derived) in [
            ("http://qdrant:6334", "http://qdrant:6334", false),
            ("http://qdrant:6333", "http://qdrant:6334", true),
            ("http://qdrant:6333/", "http://qdrant:6334", true),
            ("http://qdrant", "http://qdrant:6334", false),
            (" https://x.cloud.qdrant.io ", "https://x.cloud.qdrant.io:6334", false),
            ("https://x.cloud.qdrant.io:443", "https://x.cloud.qdrant.io:443", false),
            ("http://[::1]:6333", "http://[::1]:6334", true),
            ("HTTP://127.0.0.1:16334", "http://127.0.0.1:16334", false),
        ] {
            assert_eq!(grpc_url(&given.parse().unwrap()), (used.to_owned(), derived), "{given}");
        }
    }
}
