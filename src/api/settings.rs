//! The settings of the HTTP API: addresses, keys and limits.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::access_log::AccessLogTarget;
use super::auth::{Header, Networks, Origins, PublicUrl, conflicting_route};
use crate::domain::setting::{check_range, socket_addr};
use crate::domain::{GroupRoles, Role, Seconds, Secret, words};
use crate::keys::MIN_KEY_CHARACTERS;

/// The settings of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiSettings {
    /// `GLIMPSE_ADDR`: the address that the service listens on; `127.0.0.1:8080` by default.
    #[serde(deserialize_with = "socket_addr")]
    pub glimpse_addr: SocketAddr,
    /// `GLIMPSE_API_KEY`: one or several keys, comma-separated; empty (default): no key, and loopback only.
    pub glimpse_api_key: Secret,
    /// `GLIMPSE_KEYS_FILE`: a file with further keys and their roles; empty (default): none.
    pub glimpse_keys_file: Option<PathBuf>,
    /// `GLIMPSE_TRUSTED_PROXIES`: addresses and networks of proxies whose headers are trusted, comma-separated; empty
    /// (default): none.
    pub glimpse_trusted_proxies: Networks,
    /// `GLIMPSE_PROXY_USER_HEADER`: the header with the user that a trusted proxy has signed in; empty (default): none.
    pub glimpse_proxy_user_header: Option<Header>,
    /// `GLIMPSE_PROXY_GROUPS_HEADER`: the header with the groups of the user, comma-separated; empty (default): none.
    pub glimpse_proxy_groups_header: Option<Header>,
    /// `GLIMPSE_PROXY_ROLES`: the roles of groups, `GROUP=ROLE`, comma-separated; `*` is every user; empty (default): none.
    pub glimpse_proxy_roles: GroupRoles,
    /// `GLIMPSE_ACCESS_LOG`: `off` (default), `stderr`, or a file.
    pub glimpse_access_log: AccessLogTarget,
    /// `GLIMPSE_ALLOW_ANONYMOUS`: allow other addresses than loopback without a key; `false` by default.
    pub glimpse_allow_anonymous: bool,
    /// `GLIMPSE_CORS_ORIGINS`: origins of other sites whose pages may call the API, comma-separated; empty (default):
    /// none.
    pub glimpse_cors_origins: Origins,
    /// `GLIMPSE_PUBLIC_URL`: the address at which browsers reach the service through a proxy, such as
    /// `https://photos.example` or `https://photos.example/glimpse`; empty (default): the address in the request.
    pub glimpse_public_url: Option<PublicUrl>,
    /// `GLIMPSE_REQUEST_TIMEOUT`: seconds until a request is cancelled, with 408 if its body has not arrived, otherwise
    /// with 504; 60 by default.
    #[serde(deserialize_with = "check_range::<_, _, 1, 3600>")]
    pub glimpse_request_timeout: Seconds,
    /// `K8S_NAMESPACE`: returned in the reply to a submitted job, for compatibility with iNatInq; `ml-system` by
    /// default.
    pub k8s_namespace: String,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            glimpse_addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            glimpse_api_key: Secret::default(),
            glimpse_keys_file: None,
            glimpse_trusted_proxies: Networks::default(),
            glimpse_proxy_user_header: None,
            glimpse_proxy_groups_header: None,
            glimpse_proxy_roles: GroupRoles::default(),
            glimpse_access_log: AccessLogTarget::default(),
            glimpse_allow_anonymous: false,
            glimpse_cors_origins: Origins::default(),
            glimpse_public_url: None,
            glimpse_request_timeout: Seconds::new(60),
            k8s_namespace: "ml-system".to_owned(),
        }
    }
}

impl ApiSettings {
    /// Returns the keys of `GLIMPSE_API_KEY`.
    pub fn keys(&self) -> Vec<Secret> {
        words(self.glimpse_api_key.reveal()).into_iter().map(Secret::new).collect()
    }

    /// Returns the highest role that a user can have whom a proxy signs in; `None` if no proxy signs users in.
    pub fn proxy_role(&self) -> Option<Role> {
        self.glimpse_proxy_user_header.as_ref().and_then(|_| self.glimpse_proxy_roles.highest())
    }

    /// Whether these settings have a way to sign in.
    fn has_sign_in(&self) -> bool {
        !self.keys().is_empty() || self.glimpse_keys_file.is_some() || self.proxy_role().is_some()
    }

    /// Whether only this machine can reach the service, which listens on `addr`.
    pub fn is_local(&self, addr: SocketAddr) -> bool {
        addr.ip().is_loopback() && self.glimpse_public_url.is_none()
    }

    /// Checks that the settings do not contradict each other. `has_tokens`: whether users can sign in with tokens of an identity
    /// provider.
    ///
    /// # Errors
    /// A message that names the settings and what is allowed.
    pub fn validate(&self, has_tokens: bool) -> Result<(), String> {
        if !self.glimpse_api_key.is_empty() && self.keys().is_empty() {
            return Err("GLIMPSE_API_KEY has no key: set one or several comma-separated keys, or unset it".to_owned());
        }
        if let Some(message) = self.incomplete_proxy() {
            return Err(message.to_owned());
        }
        let path = self.glimpse_public_url.as_ref().map_or("", PublicUrl::path);
        if let Some(route) = conflicting_route(path) {
            return Err(format!(
                "the path of GLIMPSE_PUBLIC_URL is `{path}`, with which the route `{route}` of the service begins, so that requests for \
                 them cannot be distinguished; choose another path, such as `/glimpse`"
            ));
        }
        let addr = self.glimpse_addr;
        if !addr.ip().is_loopback() && !self.has_sign_in() && !has_tokens && !self.glimpse_allow_anonymous {
            return Err(format!(
                "GLIMPSE_ADDR is {addr}, which other machines can reach, and GLIMPSE_API_KEY is not set: \
                 set a key, or set GLIMPSE_ALLOW_ANONYMOUS=true to allow access without a key"
            ));
        }
        Ok(())
    }

    /// Checks the keys of `GLIMPSE_API_KEY` for a service. The commands do not need this: the key that they send is that of a
    /// service, which has checked it.
    ///
    /// # Errors
    /// A message without the keys that names the setting and what is allowed.
    pub fn check_keys(&self) -> Result<(), String> {
        for (key, number) in self.keys().iter().zip(1..) {
            let length = key.reveal().chars().count();
            if length < MIN_KEY_CHARACTERS {
                return Err(format!(
                    "key {number} of GLIMPSE_API_KEY has {length} characters; it must have at least {MIN_KEY_CHARACTERS}, because a \
                     shorter one can be guessed: set another one, for example the output of `openssl rand -hex 32`"
                ));
            }
        }
        Ok(())
    }

    /// Returns what is missing for the sign-in by a proxy.
    fn incomplete_proxy(&self) -> Option<&'static str> {
        let roles = &self.glimpse_proxy_roles;
        if self.glimpse_proxy_user_header.is_none() {
            let unused = self.glimpse_proxy_groups_header.is_some() || roles.highest().is_some();
            return unused
                .then_some("GLIMPSE_PROXY_GROUPS_HEADER and GLIMPSE_PROXY_ROLES need GLIMPSE_PROXY_USER_HEADER");
        }
        if self.glimpse_trusted_proxies.is_empty() {
            return Some(
                "GLIMPSE_PROXY_USER_HEADER needs GLIMPSE_TRUSTED_PROXIES, the addresses of the proxies that may set it",
            );
        }
        let needed = "GLIMPSE_PROXY_USER_HEADER needs GLIMPSE_PROXY_ROLES, such as `*=read`";
        roles.highest().is_none().then_some(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_can_be_guessed_is_refused() {
        let check =
            |keys: &str| ApiSettings { glimpse_api_key: Secret::new(keys), ..ApiSettings::default() }.check_keys();
        check("").unwrap();
        check("sixteen-letters-, another-long-key-ä").unwrap();
        let error = check("a-long-enough-key,short-secret").unwrap_err();
        assert!(
            error.contains("key 2 of GLIMPSE_API_KEY has 12 characters") && error.contains("at least 16"),
            "{error}"
        );
        assert!(!error.contains("short-secret"), "{error}");
    }

    #[test]
    fn access_from_other_machines_needs_a_key_or_an_explicit_setting() {
        let open = ApiSettings { glimpse_addr: ([0, 0, 0, 0], 8080).into(), ..ApiSettings::default() };
        assert!(open.validate(false).unwrap_err().contains("GLIMPSE_API_KEY"));
        ApiSettings { glimpse_api_key: Secret::new("k"), ..open.clone() }.validate(false).unwrap();
        let no_key = ApiSettings { glimpse_api_key: Secret::new(" ,"), ..ApiSettings::default() };
        assert!(no_key.validate(false).unwrap_err().contains("has no key"));
        open.validate(true).unwrap();
        ApiSettings { glimpse_keys_file: Some("keys".into()), ..open.clone() }.validate(false).unwrap();
        let user =
            ApiSettings { glimpse_proxy_user_header: Some("X-User".to_owned().try_into().unwrap()), ..open.clone() };
        assert!(user.validate(false).unwrap_err().contains("GLIMPSE_TRUSTED_PROXIES"));
        let proxy = ApiSettings { glimpse_trusted_proxies: "10.0.0.1".to_owned().try_into().unwrap(), ..user };
        assert!(proxy.validate(false).unwrap_err().contains("GLIMPSE_PROXY_ROLES"));
        ApiSettings { glimpse_proxy_roles: "*=read".to_owned().try_into().unwrap(), ..proxy }.validate(false).unwrap();
        let public = |url: &str| ApiSettings {
            glimpse_public_url: Some(url.to_owned().try_into().unwrap()),
            ..ApiSettings::default()
        };
        let conflict = public("https://host/jobs").validate(false).unwrap_err();
        assert!(conflict.contains("GLIMPSE_PUBLIC_URL is `/jobs`") && conflict.contains("route `/jobs"), "{conflict}");
        public("https://host/photos/jobs").validate(false).unwrap();
        ApiSettings { glimpse_allow_anonymous: true, ..open }.validate(false).unwrap();
        ApiSettings { glimpse_addr: "[::1]:0".parse().unwrap(), ..ApiSettings::default() }.validate(false).unwrap();
    }
}
