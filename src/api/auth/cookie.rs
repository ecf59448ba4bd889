//! The cookies of sessions.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, header};
use axum::response::AppendHeaders;
use cookie::{Cookie, SameSite};

use super::origin::PublicUrl;
use crate::api::{BasePath, Defaults};
use crate::keys::digest;

/// The name without what is different for each service, which is also the name of earlier versions.
pub(in crate::api) const COMMON_NAME: &str = "glimpse_session";
/// Browsers accept a cookie with this prefix only over TLS, for the whole host, and not from other hosts of its domain.
const HOST_PREFIX: &str = "__Host-";

/// The name of the cookies of this service. Browsers send a cookie to every port of a host, so two services on one host need
/// two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName {
    name: Arc<str>,
    /// Whether every page of the service is loaded over TLS from the root of its host, so that only cookies with the prefix
    /// are read.
    only_with_prefix: bool,
}

impl CookieName {
    /// Returns the name for a service with this public URL, or without one, on this port.
    pub fn new(url: Option<&PublicUrl>, port: u16, has_tls: bool) -> Self {
        let end = match url {
            Some(url) => hex::encode(&digest(&String::from(url.clone()))[..4]),
            None => port.to_string(),
        };
        let only_with_prefix = has_tls && BasePath::new(url).is_root();
        Self { name: format!("{COMMON_NAME}_{end}").into(), only_with_prefix }
    }

    /// Returns the name without the prefix of cookies over TLS.
    pub(in crate::api) fn as_str(&self) -> &str {
        &self.name
    }

    fn with_prefix(&self) -> String {
        format!("{HOST_PREFIX}{}", self.name)
    }

    /// Returns the token of the session in the cookies of a request.
    pub(super) fn token(&self, headers: &HeaderMap) -> Option<String> {
        let plain = || value_of(&self.name, headers).filter(|_| !self.only_with_prefix);
        value_of(&self.with_prefix(), headers).or_else(plain)
    }
}

fn value_of(name: &str, headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(Cookie::split_parse).flatten().find(|cookie| cookie.name() == name).map(|one| one.value().to_owned())
}

/// The headers that set cookies.
pub(in crate::api) type SetCookies = AppendHeaders<Vec<(HeaderName, String)>>;

/// Returns the cookie. Only pages of the service send it, scripts cannot read it, and it is sent only over TLS if the
/// page was loaded over TLS. A client that does not name its page uses the service itself, which may have TLS.
///
/// A cookie of an earlier version is removed.
pub(in crate::api) fn session_cookie(
    value: String,
    ttl: Duration,
    defaults: &Defaults,
    headers: &HeaderMap,
) -> SetCookies {
    let origin = headers.get(header::ORIGIN);
    let tls = origin.map_or(defaults.has_tls, |origin| origin.as_bytes().starts_with(b"https://"));
    let set = |name: String, value: String, ttl: Duration| {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((name, value))
            .path(defaults.base_path.join("/"))
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(tls)
            .max_age(cookie::time::Duration::seconds(seconds));
        (header::SET_COOKIE, cookie.to_string())
    };
    let name = &defaults.cookie_name;
    let name = if tls && defaults.base_path.is_root() { name.with_prefix() } else { name.as_str().to_owned() };
    let mut all = vec![set(name, value, ttl)];
    if value_of(COMMON_NAME, headers).is_some() {
        all.push(set(COMMON_NAME.to_owned(), String::new(), Duration::ZERO));
    }
    AppendHeaders(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::BasePath;
    use crate::api::auth::SESSION_TTL;

    fn url(text: &str) -> PublicUrl {
        PublicUrl::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn scripts_and_other_sites_cannot_use_the_cookie() {
        let cookie = |has_tls, headers: &HeaderMap| {
            let defaults = Defaults { has_tls, ..Defaults::for_tests() };
            session_cookie("t".into(), SESSION_TTL, &defaults, headers).0[0].1.clone()
        };
        let none = HeaderMap::new();
        assert_eq!(cookie(false, &none), "glimpse_session_8080=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
        let secure = "__Host-glimpse_session_8080=t; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=43200";
        assert_eq!(cookie(true, &none), secure);
        let origin = |origin: &str| HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
        assert_eq!(cookie(false, &origin("https://glimpse.example")), secure);
        // A proxy speaks HTTP with the browser, and TLS with the service.
        let plain = cookie(true, &origin("http://glimpse.example"));
        assert!(plain.starts_with("glimpse_session_8080=") && !plain.contains("; Secure"), "{plain}");
        // The prefix is not allowed for a path.
        let public = url("https://glimpse.example/photos");
        let defaults = Defaults { has_tls: true, base_path: BasePath::new(Some(&public)), ..Defaults::for_tests() };
        let cookie = session_cookie("t".into(), SESSION_TTL, &defaults, &none).0[0].1.clone();
        assert!(
            cookie.starts_with("glimpse_session_8080=t") && cookie.contains("; Secure; Path=/photos/;"),
            "{cookie}"
        );
    }

    #[test]
    fn each_service_has_its_own_name_and_a_former_cookie_is_removed() {
        let name = |url: Option<&PublicUrl>, port| CookieName::new(url, port, false).as_str().to_owned();
        assert_ne!(name(None, 8080), name(None, 8081));
        let (one, two) = (url("https://a.example/one"), url("https://a.example/two"));
        assert_ne!(name(Some(&one), 1), name(Some(&two), 1));
        assert!(name(Some(&one), 1).len() < 32);

        let cookies = |text: &str| HeaderMap::from_iter([(header::COOKIE, text.parse().unwrap())]);
        let own = CookieName::new(None, 8080, false);
        let both = cookies("glimpse_session_8081=other; glimpse_session_8080=plain; __Host-glimpse_session_8080=safe");
        assert_eq!(own.token(&both).as_deref(), Some("safe"));
        assert_eq!(own.token(&cookies("glimpse_session_8080=plain")).as_deref(), Some("plain"));
        let over_tls = CookieName::new(None, 8080, true);
        assert_eq!(
            over_tls.token(&cookies("glimpse_session_8080=plain")),
            None,
            "another host of the domain can set it"
        );
        assert_eq!(over_tls.token(&both).as_deref(), Some("safe"));
        let under_a_path = CookieName::new(Some(&url("https://a.example/one")), 8080, true);
        assert!(under_a_path.token(&cookies(&format!("{}=plain", under_a_path.as_str()))).is_some());
        assert_eq!(own.token(&cookies("glimpse_session_8081=other; glimpse_session=old")), None);
        let set = session_cookie("t".into(), SESSION_TTL, &Defaults::for_tests(), &cookies("glimpse_session=old")).0;
        assert_eq!(set.len(), 2);
        assert!(set[1].1.starts_with("glimpse_session=; ") && set[1].1.ends_with("Max-Age=0"), "{set:?}");
    }
}
