//! `/session`: a browser sends the API key once and gets a cookie, because requests for images cannot send headers.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Authenticator, ClientAddress, Identity, SESSION_TTL, SetCookies, session_cookie};
use super::http::{ApiError, ErrorReply, Json};
use super::{AppState, Defaults};
use crate::domain::{Role, Secret, SignIn};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_session, sign_in, sign_out))
}

/// Whether the service needs a key, and what the request may do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionReply {
    /// Whether the service needs a key.
    pub required: bool,
    /// Whether the request has a session, a key or a token, or comes from a user that a proxy has signed in.
    pub signed_in: bool,
    /// What the request may do. `null` if it is not signed in; on a service that needs no key, everyone has the role `admin`.
    pub role: Option<Role>,
    /// The name of the key or of the user.
    pub name: Option<String>,
    /// How the request is signed in. `null` if it is not. Only a session, which is started with a key, can be ended here.
    pub sign_in: Option<SignIn>,
    /// Why a user whom a proxy or an identity provider has signed in may do nothing: the user has no role. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_role: Option<String>,
}

impl SessionReply {
    fn new(required: bool, identity: Option<Identity>) -> Self {
        let signed_in = required && identity.is_some();
        let sign_in = identity.as_ref().and_then(|identity| identity.sign_in);
        let (role, name) = identity.map_or((None, None), |identity| (Some(identity.role), identity.name));
        Self { required, signed_in, role, name: name.as_deref().map(str::to_owned), sign_in, no_role: None }
    }
}

/// A sign-in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// A key of the service.
    #[schema(value_type = String)]
    pub key: Secret,
}

/// Return whether the service needs a key, and what the request may do (a proxy may add the key, or sign in the user).
#[utoipa::path(get, path = "/session", tag = "health", security(()), responses((status = 200, body = SessionReply)))]
async fn get_session(
    Extension(authenticator): Extension<Arc<Authenticator>>,
    identity: Option<Extension<Identity>>,
    headers: HeaderMap,
    extensions: Extensions,
) -> axum::Json<SessionReply> {
    let no_role = if identity.is_none() { authenticator.no_role(&headers, &extensions) } else { None };
    let reply = SessionReply::new(authenticator.needs_key(), identity.map(|Extension(identity)| identity));
    axum::Json(SessionReply { no_role, ..reply })
}

/// Start a session with a key. The session is a cookie that lasts 12 hours, until `DELETE /session`, until the key ends, or until
/// the service stops.
#[utoipa::path(post, path = "/session", tag = "health", security(()), request_body = SessionRequest,
    responses((status = 200, body = SessionReply, headers(("set-cookie" = String))),
        (status = 400, body = ErrorReply), (status = 401, body = ErrorReply), (status = 403, body = ErrorReply),
        (status = 429, body = ErrorReply)))]
async fn sign_in(
    Extension(authenticator): Extension<Arc<Authenticator>>,
    Extension(address): Extension<ClientAddress>,
    State(defaults): State<Defaults>,
    headers: HeaderMap,
    Json(request): Json<SessionRequest>,
) -> Result<(SetCookies, axum::Json<SessionReply>), ApiError> {
    let (key, identity) = authenticator.sign_in(request.key.reveal().trim(), address)?;
    let reply = SessionReply { signed_in: true, ..SessionReply::new(authenticator.needs_key(), Some(identity)) };
    Ok((session_cookie(authenticator.sessions.begin(key)?, SESSION_TTL, &defaults, &headers), axum::Json(reply)))
}

/// End a session. Its cookie is no longer valid.
#[utoipa::path(delete, path = "/session", tag = "health", security(()),
    responses((status = 200, body = SessionReply), (status = 403, body = ErrorReply)))]
async fn sign_out(
    Extension(authenticator): Extension<Arc<Authenticator>>,
    State(defaults): State<Defaults>,
    headers: HeaderMap,
) -> (SetCookies, axum::Json<SessionReply>) {
    authenticator.sessions.end(&headers);
    let reply = SessionReply::new(authenticator.needs_key(), None);
    (session_cookie(String::new(), Duration::ZERO, &defaults, &headers), axum::Json(reply))
}
