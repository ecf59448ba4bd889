//! The sessions of browsers.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;

use super::cookie::CookieName;
use crate::api::http::ApiError;
use crate::domain::KeyDigest;
use crate::keys::digest;
use crate::lock::lock;

/// How long a session lasts: a working day. After that the user enters the key again.
pub(in crate::api) const SESSION_TTL: Duration = Duration::from_hours(12);
/// The message for a request whose session is not valid any more.
pub(super) const SESSION_ENDED: &str = "the session has ended: the user has signed out, it is older than 12 hours, or the \
                                        service was started again; sign in again";
/// Maximum number of sessions of one key, and of all keys. A new session beyond it ends the oldest one, if possible one of its key.
const MAX_SESSIONS_OF_KEY: usize = 1_000;
const MAX_SESSIONS: usize = 10_000;

/// The sessions, by the digest of the token in the cookie. Sessions are lost when the process ends.
///
/// A session has no role of its own: it is valid while its key is, and may do what its key may do.
#[derive(Debug)]
pub(in crate::api) struct Sessions {
    cookie_name: CookieName,
    all: Mutex<HashMap<[u8; 32], Session>>,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    key: KeyDigest,
    until: Instant,
}

impl Sessions {
    pub(super) fn new(cookie_name: CookieName) -> Self {
        Self { cookie_name, all: Mutex::default() }
    }

    /// Starts a session of the key with this digest. Returns the token for its cookie.
    pub(in crate::api) fn begin(&self, key: KeyDigest) -> Result<String, ApiError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| ApiError::internal())?;
        let token = hex::encode(bytes);
        let mut all = lock(&self.all);
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
        let token = self.cookie_name.token(headers)?;
        let session = lock(&self.all).get(&digest(&token)).copied()?;
        (session.until > Instant::now()).then_some(session.key)
    }

    /// Whether the request has the cookie of a session, also of one that has ended.
    pub(super) fn is_presented(&self, headers: &HeaderMap) -> bool {
        self.cookie_name.token(headers).is_some()
    }

    pub(in crate::api) fn end(&self, headers: &HeaderMap) {
        if let Some(token) = self.cookie_name.token(headers) {
            lock(&self.all).remove(&digest(&token));
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn headers_with_cookie(token: &str) -> HeaderMap {
        let cookies = format!("other=1; glimpse_session_8080={token}; more=2");
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_after_its_time_on_sign_out_and_if_there_are_too_many() {
        let sessions = Sessions::new(CookieName::new(None, 8080, false));
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
}
