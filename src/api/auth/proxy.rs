//! Sign-in by a proxy: a proxy that is trusted names the user and the groups of the user in headers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, StatusCode};
use ipnet::IpNet;

use super::identity::Identity;
use crate::api::ApiSettings;
use crate::api::http::ApiError;
use crate::domain::{GroupRoles, SignIn, words};

/// Maximum number of characters of the name of a user.
const MAX_NAME: usize = 256;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that are trusted, and what they report.
#[derive(Debug)]
pub(super) struct Proxies {
    trusted: Vec<IpNet>,
    user: Option<HeaderName>,
    groups: Option<HeaderName>,
    roles: GroupRoles,
}

impl Proxies {
    pub(super) fn new(settings: &ApiSettings) -> Self {
        Self {
            trusted: settings.glimpse_trusted_proxies.networks().to_vec(),
            user: settings.glimpse_proxy_user_header.as_ref().map(|header| header.name().clone()),
            groups: settings.glimpse_proxy_groups_header.as_ref().map(|header| header.name().clone()),
            roles: settings.glimpse_proxy_roles.clone(),
        }
    }

    /// Whether the connection comes from a trusted proxy. Only the address of the connection counts, not a header.
    fn is_trusted(&self, peer: Option<IpAddr>) -> bool {
        let peer = peer.map(|peer| peer.to_canonical());
        peer.is_some_and(|peer| self.trusted.iter().any(|network| network.contains(&peer)))
    }

    /// Returns the address of the client: the last one in `X-Forwarded-For` that is not a trusted proxy, if the connection comes
    /// from one; otherwise that of the connection.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.is_trusted(peer) {
            return peer;
        }
        let lists = headers.get_all(FORWARDED_FOR).iter().filter_map(|list| list.to_str().ok());
        let addresses: Vec<&str> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
        for address in addresses.into_iter().rev() {
            match parse_address(address) {
                Some(address) if self.is_trusted(Some(address)) => {}
                Some(address) => return Some(address),
                None => break,
            }
        }
        peer
    }

    /// Returns the user that a trusted proxy has signed in, or `None` if there is none.
    pub(super) fn user(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Result<Option<Identity>, ApiError> {
        let Some(header) = self.user.as_ref().filter(|_| self.is_trusted(peer)) else { return Ok(None) };
        let mut names = headers.get_all(header).iter();
        let Some(name) = names.next() else { return Ok(None) };
        // Of two, one could be that of the client.
        if names.next().is_some() {
            let message = format!("the header `{header}` is there twice; the proxy must replace the one of the client");
            return Err(ApiError::unauthorized(message));
        }
        let name = std::str::from_utf8(name.as_bytes()).unwrap_or_default().trim();
        if name.is_empty() {
            return Ok(None);
        }
        let name: Arc<str> = name.chars().take(MAX_NAME).collect::<String>().into();
        let groups = self.groups.as_ref().map(|groups| headers.get_all(groups).iter()).into_iter().flatten();
        let groups: Vec<String> = groups.filter_map(|list| list.to_str().ok()).flat_map(words).collect();
        if let Some(role) = self.roles.role_of(&groups) {
            return Ok(Some(Identity { name: Some(name), role, sign_in: Some(SignIn::Proxy) }));
        }
        let message =
            format!("the user `{name}` has no role here: none of the user's groups is in GLIMPSE_PROXY_ROLES");
        Err(ApiError::new(StatusCode::FORBIDDEN, "no_role", message))
    }
}

/// Parses an address in `X-Forwarded-For`. Some proxies add the port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip())).or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;

    fn proxies() -> Proxies {
        Proxies::new(&ApiSettings {
            glimpse_trusted_proxies: "10.0.0.0/8, 192.0.2.1".to_owned().try_into().unwrap(),
            glimpse_proxy_user_header: Some("X-Forwarded-User".to_owned().try_into().unwrap()),
            glimpse_proxy_groups_header: Some("X-Forwarded-Groups".to_owned().try_into().unwrap()),
            glimpse_proxy_roles: "staff=read, editors=write, ops=admin".to_owned().try_into().unwrap(),
            ..ApiSettings::default()
        })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[expect(clippy::unnecessary_wraps, reason = "as the functions take it")]
    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn only_a_trusted_proxy_names_a_user() {
        let ann = headers(&[("x-forwarded-user", "ann"), ("x-forwarded-groups", "staff,editors")]);
        let proxies = proxies();
        let user = proxies.user(peer("10.1.2.3"), &ann).unwrap().unwrap();
        assert_eq!(user, Identity { name: Some("ann".into()), role: Role::Write, sign_in: Some(SignIn::Proxy) });
        assert!(proxies.user(peer("::ffff:10.1.2.3"), &ann).unwrap().is_some());
        for other in [peer("11.0.0.1"), peer("192.0.2.2"), peer("127.0.0.1"), None] {
            assert_eq!(proxies.user(other, &ann).unwrap(), None);
        }
        assert_eq!(proxies.user(peer("10.0.0.1"), &HeaderMap::new()).unwrap(), None);
        let none = headers(&[("x-forwarded-user", "bob"), ("x-forwarded-groups", "guests, staffing")]);
        assert_eq!(proxies.user(peer("10.0.0.1"), &none).unwrap_err().status(), StatusCode::FORBIDDEN);
        let mut two = ann;
        two.append("x-forwarded-user", "eve".parse().unwrap());
        assert_eq!(proxies.user(peer("10.0.0.1"), &two).unwrap_err().status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_proxy() {
        let proxies = proxies();
        let forwarded = headers(&[("x-forwarded-for", "198.51.100.9, 203.0.113.7, 10.0.0.2")]);
        assert_eq!(proxies.client(peer("10.0.0.1"), &forwarded), peer("203.0.113.7"));
        assert_eq!(proxies.client(peer("203.0.113.1"), &forwarded), peer("203.0.113.1"), "a header of the client");
        for (text, address) in
            [("203.0.113.7:4711", "203.0.113.7"), ("[2001:db8::1]:80", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1")]
        {
            assert_eq!(proxies.client(peer("10.0.0.1"), &headers(&[("x-forwarded-for", text)])), peer(address));
        }
        let wrong = headers(&[("x-forwarded-for", "unknown")]);
        assert_eq!(proxies.client(peer("10.0.0.1"), &wrong), peer("10.0.0.1"));
    }
}
