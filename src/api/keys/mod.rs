//! `/keys` and `/audit`.

mod audit;
mod error;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::auth::Identity;
use super::http::{ApiError, ErrorReply, Json, Path};
use crate::domain::{Role, Timestamp};
use crate::keys::{KeyView, Keys};

pub use audit::{AuditEntryReply, AuditReply};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_keys, add_key)).routes(routes!(remove_key)).merge(audit::routes())
}

/// A new key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// The name of the key: 1 to 64 letters, digits, `_` or `-`.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub name: String,
    /// What the key may do: `read`, `write` or `admin`.
    #[schema(value_type = Role)]
    pub role: String,
    /// When the key ends, as RFC 3339; it does not end by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// A key, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyReply {
    /// The name of the key.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it is configured: `environment` (`GLIMPSE_API_KEY`), `file` (`GLIMPSE_KEYS_FILE`) or `ledger` (`POST /keys`).
    pub source: String,
    /// When it was made. `null` for a key of the settings.
    #[schema(format = DateTime)]
    pub created_at: Option<String>,
    /// When it ends.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Whether it has ended.
    pub expired: bool,
    /// When it was last used; for a key of the settings, since the start of the service.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// The key. It is only in the reply that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What else changes, if it is the first key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// All keys.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeysReply {
    /// The keys: those of the settings first, then by name. At most 1,000 are in the ledger.
    pub keys: Vec<KeyReply>,
}

/// A key that was removed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RemovedKeyReply {
    /// The name of the key.
    pub name: String,
    /// `removed`
    pub status: String,
}

impl From<KeyView> for KeyReply {
    fn from(view: KeyView) -> Self {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self {
            name: view.name,
            role: view.role,
            source: view.source.as_str().to_owned(),
            created_at: text(view.created_at),
            expires_at: text(view.expires_at),
            expired: view.expires_at.is_some_and(|end| end <= Timestamp::now()),
            last_used_at: text(view.last_used_at),
            key: None,
            note: None,
        }
    }
}

/// List the keys, without their secrets.
#[utoipa::path(get, path = "/keys", tag = "keys", responses((status = 200, body = KeysReply)))]
async fn list_keys(State(keys): State<Keys>) -> axum::Json<KeysReply> {
    axum::Json(KeysReply { keys: keys.list().into_iter().map(KeyReply::from).collect() })
}

/// Make a key.
///
/// The reply has `key`, which is not stored and cannot be returned again. The first key of a service that needs no key yet must
/// have the role `admin` and no `expires_at`: from then on, every request needs a key.
#[utoipa::path(post, path = "/keys", tag = "keys", request_body = KeyRequest,
    responses((status = 201, body = KeyReply), (status = 400, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn add_key(
    State(keys): State<Keys>,
    Extension(identity): Extension<Identity>,
    Json(request): Json<KeyRequest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], axum::Json<KeyReply>), ApiError> {
    let role: Role = request.role.parse::<Role>().map_err(|error| ApiError::invalid("role", error.to_string()))?;
    let end = request.expires_at.as_deref().map(Timestamp::parse).transpose();
    let end = end.map_err(|error| ApiError::invalid("expires_at", error.to_string()))?;
    let was_open = !keys.is_required();
    let (key, view) = keys.add(&request.name, role, end, identity.name.is_some()).await?;
    let note = was_open.then(|| "from now on, every request needs a key".to_owned());
    let reply = KeyReply { key: Some(key.reveal().to_owned()), note, ..view.into() };
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/keys/{}", reply.name))], axum::Json(reply)))
}

/// Remove a key. It is refused from now on, and its sessions end.
#[utoipa::path(delete, path = "/keys/{name}", tag = "keys", params(("name" = String, Path)),
    responses((status = 200, body = RemovedKeyReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn remove_key(
    State(keys): State<Keys>,
    Path(name): Path<String>,
) -> Result<axum::Json<RemovedKeyReply>, ApiError> {
    let name = keys.remove(&name).await?.to_string();
    Ok(axum::Json(RemovedKeyReply { name, status: "removed".to_owned() }))
}
