//! `/session`: a browser sends the API key once and gets a cookie, because requests for images cannot send headers.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::http::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::auth::{Authenticator, SESSION_TTL, session_cookie};
use super::http::{ApiError, ErrorReply, Json};
use crate::domain::Secret;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_session, sign_in, sign_out))
}

/// Whether the service needs a key, and whether the browser is signed in.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionReply {
    /// Whether the service needs a key.
    pub required: bool,
    /// Whether the request has a session or a key.
    pub signed_in: bool,
}

/// A sign-in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// One of the keys of `GLIMPSE_API_KEY`.
    #[schema(value_type = String)]
    pub key: Secret,
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
    if authenticator.needs_key() && !authenticator.is_valid_key(request.key.reveal().trim()) {
        return Err(ApiError::unauthorized("the API key is not valid; use one of GLIMPSE_API_KEY of the service"));
    }
    let reply = SessionReply { required: authenticator.needs_key(), signed_in: true };
    Ok((session_cookie(authenticator.sessions.begin()?, SESSION_TTL, &headers), axum::Json(reply)))
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
    (session_cookie(String::new(), Duration::ZERO, &headers), axum::Json(reply))
}
