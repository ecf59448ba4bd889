//! Addresses of servers, and the keys that are sent to them.

use std::net::IpAddr;

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::domain::Secret;

/// Appends path segments to a base address. An empty last segment adds a slash at the end.
pub(crate) fn join<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Returns whether the host is this machine: `localhost`, or a loopback or unspecified address.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

/// Returns the value of the `Authorization` header for `key`; `None` if the key is empty. Only ASCII is allowed,
/// because gRPC allows nothing else.
///
/// # Errors
/// A message that continues the name of the setting. It does not repeat the key.
pub(crate) fn bearer(key: &Secret) -> Result<Option<HeaderValue>, String> {
    if key.is_empty() {
        return Ok(None);
    }
    let value = HeaderValue::from_str(&format!("Bearer {}", key.reveal())).ok();
    let value = value.filter(|value| value.to_str().is_ok());
    let mut value = value.ok_or("contains characters that are not allowed in an HTTP header; remove them")?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_the_path_of_the_base_address() {
        let join = |base: &str, path: &str| join(&Url::parse(base).unwrap(), path.split('/')).to_string();
        for base in ["https://h/v1", "https://h/v1/"] {
            assert_eq!(join(base, "embeddings"), "https://h/v1/embeddings");
        }
        assert_eq!(join("http://h:1", "api/jobs/"), "http://h:1/api/jobs/");
        assert_eq!(join("http://h:1", "ü ?"), "http://h:1/%C3%BC%20%3F");
    }

    #[test]
    fn a_key_is_ascii_and_never_printed() {
        assert_eq!(bearer(&Secret::default()), Ok(None));
        let value = bearer(&Secret::new("hush")).unwrap().unwrap();
        assert_eq!(value, "Bearer hush");
        assert!(!format!("{value:?}").contains("hush"));
        for key in ["hush\n", "hüsh"] {
            assert!(!bearer(&Secret::new(key)).unwrap_err().contains(key));
        }
    }

    #[test]
    fn this_machine_is_recognised_by_its_addresses() {
        let is_this_machine = |host: &str| is_this_machine(&Url::parse(&format!("http://{host}:1/")).unwrap());
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "0.0.0.0"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["h", "localhost.example", "10.0.0.1", "[::2]"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
