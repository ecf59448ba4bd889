//! `/session`: a browser gives the API key once and gets a cookie for it, since images cannot send headers.

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

/// The one path that a browser without a session may ask.
pub(super) const PATH: &str = "/session";

pub(super) const NAME: &str = "glimpse_session";
/// A working day: whoever is away for longer gives the key again.
const LASTS: Duration = Duration::from_hours(12);
/// Sessions at once; one more ends the oldest.
const MOST: usize = 1_000;

/// Who is signed in, by the digest of what their cookie holds. Ends with the process.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Instant>>);

impl Sessions {
    /// A new one: what its cookie shall hold.
    fn begin(&self) -> Result<String, ApiError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| ApiError::internal())?;
        let token = hex::encode(bytes);
        let mut all = self.all();
        let now = Instant::now();
        all.retain(|_, until| *until > now);
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, until)| **until).map(|(token, _)| *token)
        {
            all.remove(&oldest);
        }
        all.insert(digest(&token), now + LASTS);
        Ok(token)
    }

    /// Whether the request shows one that has not ended.
    pub(super) fn has(&self, headers: &HeaderMap) -> bool {
        let now = Instant::now();
        shown(headers).is_some_and(|token| self.all().get(&digest(&token)).is_some_and(|until| *until > now))
    }

    fn end(&self, headers: &HeaderMap) {
        if let Some(token) = shown(headers) {
            self.all().remove(&digest(&token));
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(Cookie::split_parse).flatten().find(|cookie| cookie.name() == NAME).map(|one| one.value().to_owned())
}

/// Only for our own pages, out of reach of scripts, and over TLS alone where the page came by it.
fn cookie(value: String, lasts: Duration, headers: &HeaderMap) -> [(HeaderName, String); 1] {
    let tls = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let seconds = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((NAME, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(tls)
        .max_age(cookie::time::Duration::seconds(seconds));
    [(header::SET_COOKIE, cookie.to_string())]
}

/// Whether a key is needed here, and whether the request has a session or a key; a proxy may add the key.
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

/// Give the API key for a session: a cookie that lasts twelve hours, until it is given back or the service ends.
#[utoipa::path(post, path = "/session", tag = "health", security(()), request_body = SessionRequest,
    responses((status = 200, body = SessionReply, headers(("set-cookie" = String))),
        (status = 400, body = ErrorReply), (status = 401, body = ErrorReply), (status = 403, body = ErrorReply)))]
async fn sign_in(
    Extension(authenticator): Extension<Arc<Authenticator>>,
    headers: HeaderMap,
    Json(request): Json<SessionRequest>,
) -> Result<([(HeaderName, String); 1], axum::Json<SessionReply>), ApiError> {
    if authenticator.needs_key() && !authenticator.knows(request.key.reveal().trim()) {
        return Err(ApiError::no_key("this API key is not known here"));
    }
    let reply = SessionReply { required: authenticator.needs_key(), signed_in: true };
    Ok((cookie(authenticator.sessions.begin()?, LASTS, &headers), axum::Json(reply)))
}

/// Give a session back: its cookie is worth nothing any more.
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

    fn with(token: &str) -> HeaderMap {
        let cookies = format!("other=1; {NAME}={token}; more=2");
        HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())])
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_in_time_by_signing_out_and_when_there_are_too_many() {
        let sessions = Sessions::default();
        let token = sessions.begin().unwrap();
        assert!(sessions.has(&with(&token)) && !sessions.has(&with("other")) && !sessions.has(&HeaderMap::new()));
        tokio::time::advance(LASTS).await;
        assert!(!sessions.has(&with(&token)));

        let token = sessions.begin().unwrap();
        sessions.end(&with(&token));
        assert!(!sessions.has(&with(&token)));

        let first = sessions.begin().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let others: Vec<String> = (0..MOST).map(|_| sessions.begin().unwrap()).collect();
        assert!(!sessions.has(&with(&first)) && others.iter().all(|token| sessions.has(&with(token))));
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let plain = cookie("t".into(), LASTS, &HeaderMap::new())[0].1.clone();
        assert_eq!(plain, "glimpse_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
        let tls = HeaderMap::from_iter([(header::ORIGIN, "https://glimpse.example".parse().unwrap())]);
        assert!(cookie("t".into(), LASTS, &tls)[0].1.contains("; Secure"));
    }
}
