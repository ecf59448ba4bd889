//! The address of a server, as a setting states it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

/// The base address of a server. Its path, if any, is the prefix of all routes, for a server behind a proxy. It has no
/// user name, password or query, because addresses are logged and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    text: String,
    url: Url,
}

impl Endpoint {
    /// Returns the address of a constant.
    ///
    /// # Panics
    /// If the text is not an address.
    pub fn from_static(text: &'static str) -> Self {
        text.parse().expect("a constant is a valid address")
    }

    /// Returns the address at which a process on this machine reaches a server that listens at `addr`. The scheme is `http` or
    /// `https`.
    ///
    /// # Panics
    /// Never with one of these schemes: every socket address is a part of a valid URL.
    pub fn on_this_machine(scheme: &'static str, addr: SocketAddr) -> Self {
        let ip = match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let text = format!("{scheme}://{}", SocketAddr::new(ip, addr.port()));
        text.parse().expect("a socket address makes a valid URL")
    }

    /// Returns the text of the setting.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parsed address.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the port that the text names, also if it is the default of the scheme.
    pub fn port(&self) -> Option<u16> {
        let named = |port: &u16| {
            let authority = self.text.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(rest));
            authority.ends_with(&format!(":{port}"))
        };
        self.url.port().or_else(|| self.url.port_or_known_default().filter(named))
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.filter(|_| text.contains("://"));
        let url = url.ok_or("it must be a URL that begins with http:// or https://, such as http://127.0.0.1:8080")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must not contain a user name or a password; the key of a service has its own setting");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it must end with its path, without `?` or `#`");
        }
        Ok(Self { text: text.to_owned(), url })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.text
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads the address of a gRPC server, which has no path, with `#[serde(deserialize_with = "without_path")]`.
///
/// # Errors
/// Fails if the value is not an address, or has a path.
pub fn without_path<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<Endpoint>,
{
    let endpoint = Endpoint::deserialize(deserializer)?;
    if endpoint.url.path() != "/" {
        return Err(D::Error::custom("it must not have a path, because gRPC does not use paths"));
    }
    Ok(endpoint.into())
}

/// Returns the value of a setting with its user name and password, and its query, replaced by `***`.
pub(crate) fn masked(text: &str) -> String {
    let host = text.find("://").map_or(0, |at| at + 3);
    let text = match text.rfind('@').filter(|at| *at >= host && text[..*at].contains(':')) {
        Some(at) => format!("{}***{}", &text[..host], &text[at..]),
        None => text.to_owned(),
    };
    match text.find(['?', '#']).filter(|_| host > 0) {
        Some(at) => format!("{}***", &text[..=at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_text_and_others_are_refused() {
        for text in ["http://h", "https://h/v1/", "HTTP://[::1]:6333", "http://h:80"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for invalid in ["", "h:8000", "ftp://h", "http://", "http:h", "http://h:99999", "http://h h"] {
            assert!(invalid.parse::<Endpoint>().unwrap_err().contains("http://"), "{invalid}");
        }
        for invalid in ["http://u:hush@h", "http://hush@h"] {
            assert!(invalid.parse::<Endpoint>().unwrap_err().contains("password"), "{invalid}");
        }
        for invalid in ["http://h?key=hush", "http://h#a"] {
            assert!(invalid.parse::<Endpoint>().unwrap_err().contains('?'), "{invalid}");
        }
    }

    #[test]
    fn the_port_is_the_one_in_the_text() {
        let port = |text: &str| text.parse::<Endpoint>().unwrap().port();
        assert_eq!(
            [port("https://h:443/a"), port("http://h:6333"), port("http://[::80]")],
            [Some(443), Some(6333), None]
        );
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_at_loopback() {
        let local = |addr: &str| Endpoint::on_this_machine("http", addr.parse().unwrap()).to_string();
        assert_eq!(local("0.0.0.0:9000"), "http://127.0.0.1:9000");
        assert_eq!(local("[::]:9000"), "http://[::1]:9000");
        assert_eq!(local("10.0.0.1:9000"), "http://10.0.0.1:9000");
    }

    #[test]
    fn passwords_and_queries_are_masked() {
        for (text, shown) in [
            ("http://me:hush@h/a", "http://***@h/a"),
            ("me:hu@sh@h", "***@h"),
            ("ftp://hush@h", "ftp://***@h"),
            ("http://h/a?key=hush", "http://h/a?***"),
            ("http://h:1/a", "http://h:1/a"),
            ("@eaDir/,[", "@eaDir/,["),
        ] {
            assert_eq!(masked(text), shown);
        }
    }
}
