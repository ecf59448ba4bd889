//! The sessions of browsers, and their cookies.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, header};
use cookie::{Cookie, SameSite};
use tokio::time::Instant;

use super::authenticator::digest;
use crate::api::http::ApiError;
use crate::lock::lock;

/// The path of the sign-in. It needs no session.
pub(in crate::api) const SESSION_PATH: &str = "/session";

pub(in crate::api) const COOKIE_NAME: &str = "glimpse_session";
/// How long a session lasts: a working day. After that the user enters the key again.
pub(in crate::api) const SESSION_TTL: Duration = Duration::from_hours(12);
/// Maximum number of sessions. A new session beyond it ends the oldest one.
const MAX_SESSIONS: usize = 1_000;

/// The end of each session, by the digest of the token in its cookie. Sessions are lost when the process ends.
#[derive(Debug, Default)]
pub(in crate::api) struct Sessions(Mutex<HashMap<[u8; 32], Instant>>);

impl Sessions {
    /// Starts a session. Returns the token for its cookie.
    pub(in crate::api) fn begin(&self) -> Result<String, ApiError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| ApiError::internal())?;
        let token = hex::encode(bytes);
        let mut all = lock(&self.0);
        let now = Instant::now();
        all.retain(|_, until| *until > now);
        if all.len() >= MAX_SESSIONS
            && let Some(oldest) = all.iter().min_by_key(|(_, until)| **until).map(|(token, _)| *token)
        {
            all.remove(&oldest);
        }
        all.insert(digest(&token), now + SESSION_TTL);
        Ok(token)
    }

    /// Whether the request has a session that has not ended.
    pub(in crate::api) fn is_valid(&self, headers: &HeaderMap) -> bool {
        let now = Instant::now();
        session_token(headers).is_some_and(|token| lock(&self.0).get(&digest(&token)).is_some_and(|until| *until > now))
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
/// page was loaded over TLS.
pub(in crate::api) fn session_cookie(value: String, ttl: Duration, headers: &HeaderMap) -> [(HeaderName, String); 1] {
    let tls = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((COOKIE_NAME, value))
        .path("/")
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
        let token = sessions.begin().unwrap();
        assert!(
            sessions.is_valid(&headers_with_cookie(&token))
                && !sessions.is_valid(&headers_with_cookie("other"))
                && !sessions.is_valid(&HeaderMap::new())
        );
        tokio::time::advance(SESSION_TTL).await;
        assert!(!sessions.is_valid(&headers_with_cookie(&token)));

        let token = sessions.begin().unwrap();
        sessions.end(&headers_with_cookie(&token));
        assert!(!sessions.is_valid(&headers_with_cookie(&token)));

        let first = sessions.begin().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let others: Vec<String> = (0..MAX_SESSIONS).map(|_| sessions.begin().unwrap()).collect();
        assert!(
            !sessions.is_valid(&headers_with_cookie(&first))
                && others.iter().all(|token| sessions.is_valid(&headers_with_cookie(token)))
        );
    }

    #[test]
    fn scripts_and_other_sites_cannot_use_the_cookie() {
        let plain = session_cookie("t".into(), SESSION_TTL, &HeaderMap::new())[0].1.clone();
        assert_eq!(plain, "glimpse_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
        let tls = HeaderMap::from_iter([(header::ORIGIN, "https://glimpse.example".parse().unwrap())]);
        assert!(session_cookie("t".into(), SESSION_TTL, &tls)[0].1.contains("; Secure"));
    }
}
