//! `/session`: a browser sends the API key once and gets a cookie, because requests for images cannot send headers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::http::{HeaderMap, HeaderName, header};
use cookie::{Cookie, SameSite};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::authenticator::{Authenticator, digest};
use super::error::{ApiError, ErrorReply};
use super::extract::Json;
use super::replies::{SessionReply, SessionRequest};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_session, sign_in, sign_out))
}

/// The path of the sign-in. It needs no session.
pub(super) const SESSION_PATH: &str = "/session";

pub(super) const COOKIE_NAME: &str = "glimpse_session";
/// How long a session lasts: a working day. After that the user enters the key again.
const SESSION_TTL: Duration = Duration::from_hours(12);
/// Maximum number of sessions. A new session beyond it ends the oldest one.
const MAX_SESSIONS: usize = 1_000;

/// The end of each session, by the digest of the token in its cookie. Sessions are lost when the process ends.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Instant>>);

impl Sessions {
    /// Starts a session. Returns the token for its cookie.
    fn begin(&self) -> Result<String, ApiError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| ApiError::internal())?;
        let token = hex::encode(bytes);
        let mut all = self.all();
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
    pub(super) fn has(&self, headers: &HeaderMap) -> bool {
        let now = Instant::now();
        session_token(headers).is_some_and(|token| self.all().get(&digest(&token)).is_some_and(|until| *until > now))
    }

    fn end(&self, headers: &HeaderMap) {
        if let Some(token) = session_token(headers) {
            self.all().remove(&digest(&token));
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
fn cookie(value: String, ttl: Duration, headers: &HeaderMap) -> [(HeaderName, String); 1] {
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

/// Return whether the service needs a key, and whether the request has a session or a key (a proxy may add the key).
#[utoipa::path(get, path = "/session", tag = "health", security(()), responses((status = 200, body = SessionReply)))]
async fn get_session(
    Extension(authenticator): Extension<Arc<Authenticator>>,
    headers: HeaderMap,
) -> axum::Json<SessionReply> {
    axum::Json(SessionReply {
        required: authenticator.needs_key(),
        signed_in: authenticator.needs_key() && authenticator.is_signed_in(&headers),
    })
}

/// Start a session with the API key. The session is a cookie that lasts 12 hours, until `DELETE /session` or until the
/// service stops.
#[utoipa::path(post, path = "/session", tag = "health", security(()), request_body = SessionRequest,
    responses((status = 200, body = SessionReply, headers(("set-cookie" = String))),
        (status = 400, body = ErrorReply), (status = 401, body = ErrorReply), (status = 403, body = ErrorReply)))]
async fn sign_in(
    Extension(authenticator): Extension<Arc<Authenticator>>,
    headers: HeaderMap,
    Json(request): Json<SessionRequest>,
) -> Result<([(HeaderName, String); 1], axum::Json<SessionReply>), ApiError> {
    if authenticator.needs_key() && !authenticator.knows(request.key.reveal().trim()) {
        return Err(ApiError::no_key("the API key is not valid; use one of GLIMPSE_API_KEY of the service"));
    }
    let reply = SessionReply { required: authenticator.needs_key(), signed_in: true };
    Ok((cookie(authenticator.sessions.begin()?, SESSION_TTL, &headers), axum::Json(reply)))
}

/// End a session. Its cookie is no longer valid.
#[utoipa::path(delete, path = "/session", tag = "health", security(()),
    responses((status = 200, body = SessionReply), (status = 403, body = ErrorReply)))]
async fn sign_out(
    Extension(authenticator): Extension<Arc<Authenticator>>,
    headers: HeaderMap,
) -> ([(HeaderName, String); 1], axum::Json<SessionReply>) {
    authenticator.sessions.end(&headers);
    let reply = SessionReply { required: authenticator.needs_key(), signed_in: false };
    (cookie(String::new(), Duration::ZERO, &headers), axum::Json(reply))
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
            sessions.has(&headers_with_cookie(&token))
                && !sessions.has(&headers_with_cookie("other"))
                && !sessions.has(&HeaderMap::new())
        );
        tokio::time::advance(SESSION_TTL).await;
        assert!(!sessions.has(&headers_with_cookie(&token)));

        let token = sessions.begin().unwrap();
        sessions.end(&headers_with_cookie(&token));
        assert!(!sessions.has(&headers_with_cookie(&token)));

        let first = sessions.begin().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let others: Vec<String> = (0..MAX_SESSIONS).map(|_| sessions.begin().unwrap()).collect();
        assert!(
            !sessions.has(&headers_with_cookie(&first))
                && others.iter().all(|token| sessions.has(&headers_with_cookie(token)))
        );
    }

    #[test]
    fn scripts_and_other_sites_cannot_use_the_cookie() {
        let plain = cookie("t".into(), SESSION_TTL, &HeaderMap::new())[0].1.clone();
        assert_eq!(plain, "glimpse_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
        let tls = HeaderMap::from_iter([(header::ORIGIN, "https://glimpse.example".parse().unwrap())]);
        assert!(cookie("t".into(), SESSION_TTL, &tls)[0].1.contains("; Secure"));
    }
}
