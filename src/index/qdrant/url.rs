//! Where Qdrant's gRPC port is, from what `QDRANT_URL` says.

use tonic::transport::Uri;

use crate::index::InvalidStore;

/// Qdrant's port for gRPC, the only protocol that its Rust client speaks.
const GRPC_PORT: u16 = 6334;
/// Its port for REST, the one in its dashboards and in most people's settings.
const REST_PORT: u16 = 6333;

/// The address of the gRPC port, and whether it was derived from that of the REST port.
///
/// # Errors
/// [`InvalidStore`], without the text: a URL may hold a password.
pub fn grpc_url(url: &str) -> Result<(String, bool), InvalidStore> {
    let invalid = |why: &str| {
        let said = format!("QDRANT_URL {why}; it must be of the form http://HOST:6334 or https://HOST:6334");
        InvalidStore(said)
    };
    let uri: Uri = url.trim().parse().map_err(|_| invalid("is no URL"))?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = scheme.ok_or_else(|| invalid("does not begin with http:// or https://"))?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(invalid("holds a user's name or password (QDRANT_API_KEY is the place for a key)"));
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid("names no host"))?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(invalid("has a path, which gRPC has no use for"));
    }
    let port = match uri.port_u16() {
        Some(port) => port,
        None if authority.len() == host.len() => GRPC_PORT,
        None => return Err(invalid("has a port that is no number up to 65535")),
    };
    let derived = port == REST_PORT;
    let port = if derived { GRPC_PORT } else { port };
    Ok((format!("{scheme}://{host}:{port}"), derived))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_port_and_no_port_at_all_mean_the_grpc_port() {
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
    fn what_cannot_be_an_address_is_refused_without_being_repeated() {
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
            let said = grpc_url(wrong).expect_err(wrong).to_string();
            assert!(said.contains("QDRANT_URL") && said.contains("6334") && !said.contains("hunter2"), "{said}");
        }
    }
}
