//! The sessions of browsers, and their cookies.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, header};
use cookie::{Cookie, SameSite};
use tokio::time::Instant;

use crate::api::Defaults;
use crate::api::http::ApiError;
use crate::domain::KeyDigest;
use crate::keys::digest;
use crate::lock::lock;

pub(in crate::api) const COOKIE_NAME: &str = "glimpse_session";
/// How long a session lasts: a working day. After that the user enters the key again.
pub(in crate::api) const SESSION_TTL: Duration = Duration::from_hours(12);
/// Maximum number of sessions of one key, and of all keys. A new session beyond it ends the oldest one, if possible one of its key.
const MAX_SESSIONS_OF_KEY: usize = 1_000;
const MAX_SESSIONS: usize = 10_000;

/// The sessions, by the digest of the token in the cookie. Sessions are lost when the process ends.
///
/// A session has no role of its own: it is valid while its key is, and may do what its key may do.
#[derive(Debug, Default)]
pub(in crate::api) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

#[derive(Clone, Copy, Debug)]
struct Session {
    key: KeyDigest,
    until: Instant,
}

impl Sessions {
    /// Starts a session of the key with this digest. Returns the token for its cookie.
    pub(in crate::api) fn begin(&self, key: KeyDigest) -> Result<String, ApiError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| ApiError::internal())?;
        let token = hex::encode(bytes);
        let mut all = lock(&self.0);
        let now = Instant::now();
        all.retain(|_, session| session.until > now);
        let of_key = all.iter().filter(|(_, session)| session.key == key);
        let oldest = if of_key.clone().count() >= MAX_SESSIONS_OF_KEY {
            of_key.min_by_key(|(_, session)| session.until).map(|(token, _)| *token)
        } else if all.len() >= MAX_SESSIONS {
            all.iter().min_by_key(|(_, session)| session.until).map(|(token, _)| *token)
        } else {
            None
        };
        if let Some(oldest) = oldest {
            all.remove(&oldest);
        }
        all.insert(digest(&token), Session { key, until: now + SESSION_TTL });
        Ok(token)
    }

    /// Returns the digest of the key of the request's session, if the session has not ended.
    pub(in crate::api) fn key(&self, headers: &HeaderMap) -> Option<KeyDigest> {
        let token = session_token(headers)?;
        let session = lock(&self.0).get(&digest(&token)).copied()?;
        (session.until > Instant::now()).then_some(session.key)
    }

    pub(in crate::api) fn end(&self, headers: &HeaderMap) {
        if let Some(token) = session_token(headers) {
            lock(&self.0).remove(&digest(&token));
        }
    }
}

fn session_token(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(Cookie::split_parse)
        .flatten()
        .find(|cookie| cookie.name() == COOKIE_NAME)
        .map(|one| one.value().to_owned())
}

/// Returns the cookie. Only pages of the service send it, scripts cannot read it, and it is sent only over TLS if the
/// page was loaded over TLS. A client that does not name its page uses the service itself, which may have TLS.
pub(in crate::api) fn session_cookie(
    value: String,
    ttl: Duration,
    defaults: &Defaults,
    headers: &HeaderMap,
) -> [(HeaderName, String); 1] {
    let origin = headers.get(header::ORIGIN);
    let tls = origin.map_or(defaults.has_tls, |origin| origin.as_bytes().starts_with(b"https://"));
    let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((COOKIE_NAME, value))
        .path(defaults.base_path.join("/"))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(tls)
        .max_age(cookie::time::Duration::seconds(seconds));
    [(header::SET_COOKIE, cookie.to_string())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_with_cookie(token: &str) -> HeaderMap {
        let cookies = format!("other=1; {COOKIE_NAME}={token}; more=2");
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_after_its_time_on_sign_out_and_if_there_are_too_many() {
        let sessions = Sessions::default();
        let (key, other) = (digest("one"), digest("two"));
        let token = sessions.begin(key).unwrap();
        assert_eq!(sessions.key(&headers_with_cookie(&token)), Some(key));
        assert_eq!(sessions.key(&headers_with_cookie("other")), None);
        assert_eq!(sessions.key(&HeaderMap::new()), None);
        tokio::time::advance(SESSION_TTL).await;
        assert_eq!(sessions.key(&headers_with_cookie(&token)), None);

        let token = sessions.begin(key).unwrap();
        sessions.end(&headers_with_cookie(&token));
        assert_eq!(sessions.key(&headers_with_cookie(&token)), None);

        let first = sessions.begin(key).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let oldest = sessions.begin(other).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let others: Vec<String> = (0..MAX_SESSIONS_OF_KEY).map(|_| sessions.begin(other).unwrap()).collect();
        assert!(others.iter().all(|token| sessions.key(&headers_with_cookie(token)) == Some(other)));
        assert_eq!(sessions.key(&headers_with_cookie(&oldest)), None);
        assert_eq!(sessions.key(&headers_with_cookie(&first)), Some(key), "those of another key stay");
        for number in 2..=MAX_SESSIONS / MAX_SESSIONS_OF_KEY {
            let many = digest(&number.to_string());
            for _ in 0..MAX_SESSIONS_OF_KEY {
                sessions.begin(many).unwrap();
            }
        }
        assert_eq!(sessions.key(&headers_with_cookie(&first)), None, "too many of all keys");
    }

    #[test]
    fn scripts_and_other_sites_cannot_use_the_cookie() {
        let cookie = |has_tls, headers: &HeaderMap| {
            let defaults = Defaults { has_tls, ..Defaults::for_tests() };
            session_cookie("t".into(), SESSION_TTL, &defaults, headers)[0].1.clone()
        };
        let none = HeaderMap::new();
        assert_eq!(cookie(false, &none), "glimpse_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
        assert!(cookie(true, &none).contains("; Secure"));
        let origin = |origin: &str| HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
        assert!(cookie(false, &origin("https://glimpse.example")).contains("; Secure"));
        // A proxy speaks HTTP with the browser, and TLS with the service.
        assert!(!cookie(true, &origin("http://glimpse.example")).contains("; Secure"));
    }
}
