//! Checks who may use the service: API keys, sessions, tokens, and the origin of requests from browsers.
//!
//! Without a key the service listens on loopback only. A page of another site could still reach it through the browser
//! of the user: by a request to another origin (recognised by `Origin`) or by a name that resolves to loopback
//! (recognised by `Host`).

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::audited::audit_entry;
use super::cookie::CookieName;
use super::failures::FailedSignIns;
use super::identity::{ClientAddress, Identity};
use super::origin::{cross_origin, is_loopback_name, is_same_host};
use super::presented::{api_key, bearer_token, presented_key};
use super::proxy::Proxies;
use super::roles::{Access, RoleTable};
use super::sessions::{SESSION_ENDED, Sessions};
use super::stream_access::SignedInBy;
use super::tokens::CheckedToken;
use crate::api::ApiSettings;
use crate::api::http::ApiError;
use crate::domain::{KeyDigest, SignIn};
use crate::jwt::Tokens;
use crate::keys::{Audit, Keys, digest};

/// The authenticator of the service.
#[derive(Debug)]
pub(in crate::api) struct Authenticator {
    keys: Keys,
    proxies: Proxies,
    roles: RoleTable,
    failures: FailedSignIns,
    audit: Audit,
    tokens: Tokens,
    /// Origins whose pages may send requests that change something: `GLIMPSE_CORS_ORIGINS` and `GLIMPSE_PUBLIC_URL`.
    origins: Vec<String>,
    /// The host of `GLIMPSE_PUBLIC_URL`.
    public_host: Option<String>,
    /// `GLIMPSE_ALLOW_ANONYMOUS`
    allow_anonymous: bool,
    /// The sessions of browsers that have sent a valid key.
    pub(in crate::api) sessions: Sessions,
}

/// The message for a key that is not valid. It does not say whether the key ever was.
const WRONG_KEY: &str = "the API key is not valid: it is misspelt, it has expired, or it was removed";

impl Authenticator {
    pub(in crate::api) fn new(
        settings: &ApiSettings,
        keys: Keys,
        audit: Audit,
        tokens: Tokens,
        cookie_name: CookieName,
    ) -> Self {
        let public = settings.glimpse_public_url.as_ref().map(|url| url.origin().as_str().to_owned());
        let public_host =
            public.as_deref().and_then(|origin| origin.split_once("://")).map(|(_, host)| host.to_owned());
        Self {
            keys,
            proxies: Proxies::new(settings),
            roles: RoleTable::new(),
            failures: FailedSignIns::default(),
            audit,
            tokens,
            origins: settings.glimpse_cors_origins.as_strings().into_iter().chain(public).collect(),
            public_host,
            allow_anonymous: settings.glimpse_allow_anonymous,
            sessions: Sessions::new(cookie_name),
        }
    }

    /// Checks the host and the origin of a request, and who sent it. Returns who sent it, if that is known.
    pub(super) fn authorize(&self, request: &RequestHead<'_>) -> Result<Option<Identity>, Refused> {
        let RequestHead { method, uri, headers, extensions } = *request;
        let path = uri.path();
        // HTTP/2 has `:authority` instead of the header.
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(uri.authority().map(Authority::as_str));
        if let Some(host) = host
            && !self.needs_key()
            && !self.allow_anonymous
            && !is_loopback_name(host)
            && self.public_host.as_deref().is_none_or(|public| !public.eq_ignore_ascii_case(host))
        {
            return Err(Refused::from(cross_origin(format!(
                "without GLIMPSE_API_KEY this service accepts only loopback host names, not `{host}`; \
                 set GLIMPSE_PUBLIC_URL if this is the address of the service"
            ))));
        }
        if !method.is_safe() {
            self.check_origin(headers, host)?;
        }
        let route = extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        match self.roles.access(method, route, path) {
            Access::OwnToken => Ok(None),
            // A wrong key is an error only if one is needed. It is counted here, too: the reply shows whether it is valid.
            Access::Public => Ok(self.identify(headers, extensions).ok()),
            Access::Role(role) => {
                let identity = self.identify(headers, extensions)?;
                match identity.require(role) {
                    Ok(()) => Ok(Some(identity)),
                    Err(error) => Err(Refused { error, identity: Some(identity) }),
                }
            }
        }
    }

    /// Returns who sent a request: by its key, its session, its token, or a trusted proxy.
    fn identify(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Identity, ApiError> {
        let address = self.client(headers, extensions);
        // A signature cannot be guessed, so tokens are always verified.
        let has_token = extensions.get::<CheckedToken>().is_some();
        let key = presented_key(headers, has_token);
        if let Some(key) = key {
            self.failures.check(address, key)?;
        }
        match self.known_identity(headers, extensions) {
            Ok(Some(identity)) => {
                // The session or the token identifies the sender, and the key beside it can be a guess.
                let sent = if identity.sign_in == Some(SignIn::Proxy) { api_key(headers) } else { key };
                if sent.is_some_and(|key| self.is_wrong(key)) {
                    self.failures.record(address);
                }
                Ok(identity)
            }
            Err(error) if has_token && error.status() == StatusCode::UNAUTHORIZED => {
                self.failures.check(address, "")?;
                self.failures.record(address);
                Err(error)
            }
            Err(error) => {
                if api_key(headers).is_some_and(|key| self.is_wrong(key)) {
                    self.failures.record(address);
                }
                Err(error)
            }
            Ok(None) if key.is_some() => {
                self.failures.record(address);
                Err(ApiError::unauthorized(WRONG_KEY))
            }
            Ok(None) if self.sessions.is_presented(headers) => Err(ApiError::unauthorized(SESSION_ENDED)),
            Ok(None) => {
                Err(ApiError::unauthorized("no API key; send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"))
            }
        }
    }

    fn is_wrong(&self, key: &str) -> bool {
        self.needs_key() && self.keys.find(key).is_none()
    }

    /// The same, without an error if it is not known.
    pub(super) fn known_identity(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Option<Identity>, ApiError> {
        if !self.needs_key() {
            return Ok(Some(Identity::anonymous()));
        }
        let token = extensions.get::<CheckedToken>();
        let by_key = || presented_key(headers, token.is_some()).and_then(|key| self.keys.find(key));
        let by_session = || self.sessions.key(headers).and_then(|key| self.keys.find_digest(&key));
        if let Some(owner) = by_key().or_else(by_session) {
            return Ok(Some(owner.into()));
        }
        match token {
            Some(token) => token.identity().map(Some),
            None => self.proxies.user(peer(extensions), headers),
        }
    }

    /// Returns what identifies the sender of a request, in the order of [`Self::known_identity`].
    pub(super) fn signed_in_by(&self, headers: &HeaderMap, extensions: &Extensions) -> SignedInBy {
        let has_token = extensions.get::<CheckedToken>().is_some();
        if presented_key(headers, has_token).is_some_and(|key| self.keys.find(key).is_some()) {
            SignedInBy::Key
        } else if self.sessions.key(headers).is_some() {
            SignedInBy::Session
        } else {
            SignedInBy::TokenOrProxy
        }
    }

    /// Returns why a user whom a proxy or an identity provider has signed in has no role.
    pub(in crate::api) fn no_role(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<String> {
        let error = self.known_identity(headers, extensions).err()?;
        (error.status() == StatusCode::FORBIDDEN).then(|| error.into_body().message)
    }

    /// Returns what a request needs; `route` is the template of its route, if it has one.
    pub(super) fn access(&self, method: &Method, route: Option<&str>, path: &str) -> Access {
        self.roles.access(method, route, path)
    }

    /// Verifies the bearer token of a request, if it has the form of a token of an identity provider.
    pub(super) async fn check_token(&self, headers: &HeaderMap) -> Option<CheckedToken> {
        self.tokens.verify(bearer_token(headers)?).await.map(CheckedToken)
    }

    /// Returns the address of the client.
    pub(super) fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        self.proxies.client(peer(extensions), headers)
    }

    /// Whether requests need a key or a session.
    pub(in crate::api) fn needs_key(&self) -> bool {
        self.keys.is_required()
    }

    /// Checks a key that a browser sends to sign in. Returns its digest, and who it belongs to.
    pub(in crate::api) fn sign_in(
        &self,
        key: &str,
        ClientAddress(address): ClientAddress,
    ) -> Result<(KeyDigest, Identity), ApiError> {
        let digest = digest(key);
        if !self.needs_key() {
            return Ok((digest, Identity::anonymous()));
        }
        self.failures.check(address, key)?;
        if let Some(owner) = self.keys.find_digest(&digest) {
            return Ok((digest, owner.into()));
        }
        self.failures.record(address);
        Err(ApiError::unauthorized(WRONG_KEY))
    }

    /// Runs a request whose sender is known, and records in the audit log what it has changed.
    pub(super) async fn run_audited(&self, identity: Identity, mut request: Request, next: Next) -> Response {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let access = self.roles.access(request.method(), route, request.uri().path());
        let entry = audit_entry(&self.audit, &request, access, &identity);
        request.extensions_mut().insert(identity);
        let response = next.run(request).await;
        if let Some(entry) = entry.and_then(|entry| entry.complete(&response)) {
            self.audit.add(entry).await;
        }
        response
    }

    fn check_origin(&self, headers: &HeaderMap, host: Option<&str>) -> Result<(), ApiError> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or("null");
        if self.origins.iter().any(|allowed| allowed == origin) || host.is_some_and(|host| is_same_host(origin, host)) {
            return Ok(());
        }
        // A browser sets this header itself. It knows the address that it requested, even if a proxy changed `Host`.
        if headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin") {
            return Ok(());
        }
        let host = host.unwrap_or("(a request without Host)");
        Err(cross_origin(format!(
            "a page of `{origin}` may not send requests to `{host}` that change something; if both are addresses of this service, set \
             GLIMPSE_PUBLIC_URL={origin}; if `{origin}` is another site, add it to GLIMPSE_CORS_ORIGINS"
        )))
    }
}

/// A request that is refused, and who sent it, if that is known.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) error: ApiError,
    pub(super) identity: Option<Identity>,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self { error, identity: None }
    }
}

/// What the authenticator reads of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) extensions: &'a Extensions,
}

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

#[cfg(test)]
#[path = "authenticator_tests.rs"]
mod tests;
