//! The settings of a Qdrant server, and the address of its gRPC port.

use std::time::Duration;

use tonic::transport::Uri;

use crate::domain::Secret;
use crate::index::InvalidStoreSettings;

/// Qdrant's gRPC port. Its Rust client supports no other protocol.
const GRPC_PORT: u16 = 6334;
/// Qdrant's REST port, which its documentation and most settings use.
const REST_PORT: u16 = 6333;

/// The address of the server and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QdrantSettings {
    /// `QDRANT_URL`; see [`grpc_url`].
    pub url: String,
    /// `QDRANT_API_KEY`; if empty, no key is sent.
    pub api_key: Secret,
    /// `VECTOR_DB_TIMEOUT`: the time limit of one call.
    pub timeout: Duration,
}

/// Returns the address of the gRPC port, and whether it was derived from the REST port.
///
/// # Errors
/// Returns [`InvalidStoreSettings`] if `url` is not a valid address. The error does not contain the URL, which may have
/// a password.
pub fn grpc_url(url: &str) -> Result<(String, bool), InvalidStoreSettings> {
    let invalid = |why: &str| {
        let message = format!("QDRANT_URL {why}; it must have the form http://HOST:6334 or https://HOST:6334");
        InvalidStoreSettings(message)
    };
    let uri: Uri = url.trim().parse().map_err(|_| invalid("is not a URL"))?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = scheme.ok_or_else(|| invalid("does not begin with http:// or https://"))?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(invalid("contains a user name or a password (set QDRANT_API_KEY instead)"));
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid("has no host"))?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(invalid("has a path or a query, which gRPC does not use"));
    }
    let port = match uri.port_u16() {
        Some(port) => port,
        None if authority.len() == host.len() => GRPC_PORT,
        None => return Err(invalid("has a port that is not a number from 0 to 65535")),
    };
    let derived = port == REST_PORT;
    let port = if derived { GRPC_PORT } else { port };
    Ok((format!("{scheme}://{host}:{port}"), derived))
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
            assert_eq!(grpc_url(given), Ok((used.to_owned(), derived)), "{given}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_and_not_shown() {
        for wrong in [
            "",
            "qdrant",
            "qdrant:6334",
            "ftp://qdrant:6334",
            "http://",
            "http://user:hunter2@qdrant:6334",
            "http://qdrant:6334/hunter2",
            "http://qdrant:6334?key=hunter2",
            "http://qdrant:99999",
            "http://qdrant:",
        ] {
            let message = grpc_url(wrong).expect_err(wrong).to_string();
            assert!(message.contains("QDRANT_URL") && message.contains("6334"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
