//! Web origins (`scheme://host[:port]`), written as browsers write them in `Origin`.

use std::net::IpAddr;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::api::http::ApiError;
use crate::domain::words;

const NOT_AN_ORIGIN: &str = "write scheme://host[:port], such as https://photos.example";

/// The origin of a website.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

impl Origin {
    /// Returns the origin as browsers write it in `Origin`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Origin {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        parse_origin(&text).map(Self)
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

/// The address at which browsers reach the service: an origin, and a path if a proxy publishes the service under one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicUrl {
    origin: Origin,
    path: String,
}

impl PublicUrl {
    /// Maximum number of bytes of the path.
    const MAX_PATH: usize = 200;

    /// Returns the origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the path without a slash at its end, such as `/glimpse`; empty without a path.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let Some((scheme, rest)) = text.split_once("://") else { return Err(NOT_AN_ORIGIN) };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let origin = parse_origin(&format!("{scheme}://{host}")).map(Origin)?;
        let is_plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        if path.is_empty() {
            return Ok(Self { origin, path: String::new() });
        }
        if path.len() > Self::MAX_PATH || !path.split('/').all(is_plain) {
            return Err("the path must have at most 200 letters, digits, `-`, `.`, `_`, `~` and `/`, and no query");
        }
        Ok(Self { origin, path: format!("/{path}") })
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.origin.0 + &url.path
    }
}

/// A comma-separated list of origins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// Returns the origins as browsers write them in `Origin`.
    pub fn as_strings(&self) -> Vec<String> {
        self.0.iter().map(|origin| origin.0.clone()).collect()
    }
}

impl TryFrom<String> for Origins {
    type Error = String;

    fn try_from(list: String) -> Result<Self, String> {
        let texts = words(&list);
        // The error continues a sentence that has the whole value.
        let name = |text: &str| if texts.len() == 1 { String::new() } else { format!("`{text}`: ") };
        let parse = |text: &String| parse_origin(text).map(Origin).map_err(|reason| format!("{}{reason}", name(text)));
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Origins> for String {
    fn from(origins: Origins) -> Self {
        origins.as_strings().join(",")
    }
}

/// Parses an origin from a setting. A trailing slash and a default port are allowed.
///
/// # Errors
/// The reason why the text is not an origin.
fn parse_origin(text: &str) -> Result<String, &'static str> {
    if text == "*" {
        return Err("`*` would let every website use this service from a visitor's browser; list the origins instead");
    }
    let url = Url::parse(text).map_err(|_| NOT_AN_ORIGIN)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("the scheme must be http or https");
    }
    if text.contains('*') {
        return Err("wildcards are not supported; list each origin");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("an origin has no path: write scheme://host[:port]");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an origin has no user name or password");
    }
    Ok(url.origin().ascii_serialization())
}

/// Whether a request for `host` (its `Host` header or HTTP/2 `:authority`) was sent by a page of the same origin. The
/// scheme is not compared, because a proxy may terminate TLS. Either side may omit the default port of the scheme.
pub(super) fn is_same_host(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Ok(requested) = Url::parse(&format!("{}://{host}", origin.scheme())) else { return false };
    origin.has_host()
        && origin.host() == requested.host()
        && origin.port_or_known_default() == requested.port_or_known_default()
}

/// Returns 403 for a request that a page of another site made a browser send.
pub(super) fn cross_origin(message: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "cross_origin", message)
}

/// Whether a host name with or without a port is that of this machine.
pub(super) fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_can_have_a_path() {
        let parse = |text: &str| PublicUrl::try_from(text.to_owned());
        for (text, origin, path) in [
            ("https://ok.example", "https://ok.example", ""),
            ("https://ok.example/", "https://ok.example", ""),
            ("https://OK.example:443/a/b.c/", "https://ok.example", "/a/b.c"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!((url.origin().as_str(), url.path()), (origin, path), "{text}");
            assert_eq!(String::from(url), format!("{origin}{path}"));
        }
        for wrong in [
            "ok.example/a",
            "https://ok.example/a//b",
            "https://ok.example/../a",
            "https://ok.example/a?b",
            "ftp://a/b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn origins_are_normalised_as_browsers_write_them() {
        for (text, expected) in [
            ("https://ok.example", "https://ok.example"),
            ("https://ok.example/", "https://ok.example"),
            ("https://OK.example:443", "https://ok.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:80/", "http://[::1]"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "*",
            "null",
            "nonsense",
            "ok.example",
            "ftp://a.example",
            "https://",
            "https://a.example/p",
            "https://a.example?x",
            "https://u:p@a.example",
            "https://*.example",
            "file:///x",
        ] {
            assert!(parse_origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_origin_only_if_the_list_has_several() {
        let error = |list: &str| Origins::try_from(list.to_owned()).unwrap_err();
        assert!(error("bogus").starts_with("write scheme://"), "{}", error("bogus"));
        assert!(
            error("https://a.example, bogus").starts_with("`bogus`: write"),
            "{}",
            error("https://a.example, bogus")
        );
    }

    #[test]
    fn a_default_port_can_be_omitted() {
        for (origin, host) in [
            ("https://a.example", "a.example"),
            ("https://a.example", "a.example:443"),
            ("http://a.example:80", "A.example"),
            ("http://localhost:8080", "localhost:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert!(is_same_host(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("https://a.example", "a.example:80"),
            ("http://a.example:9", "a.example"),
            ("null", "a"),
            ("https://b.example", "a.example"),
        ] {
            assert!(!is_same_host(origin, host), "{origin} {host}");
        }
    }
}
