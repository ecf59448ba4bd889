//! `GET /audit`

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Query};
use crate::domain::{AuditEntry, Role, SignIn};
use crate::jobs::JobsError;
use crate::keys::Audit;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// The query parameters of the audit log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditParams {
    /// Number of entries, 1 to 1000.
    #[serde(default = "default_limit")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: u32,
    /// Only entries with a smaller number: `next` of the page before.
    #[param(minimum = 1)]
    before: Option<i64>,
}

fn default_limit() -> u32 {
    100
}

/// A page of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditReply {
    /// The entries, newest first.
    pub entries: Vec<AuditEntryReply>,
    /// `before` of the next page, if there may be one.
    pub next: Option<i64>,
}

/// A request that has changed data.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditEntryReply {
    /// The number of the entry. Later entries have greater numbers.
    pub number: i64,
    /// When the request ended.
    #[schema(format = DateTime)]
    pub at: String,
    /// The name of the key, or of the user that a proxy or an identity provider has signed in. `null` if the service needed no key.
    pub name: Option<String>,
    /// Whether the name is that of a key or of a user. `null` if the service needed no key, and for entries of earlier versions.
    pub sign_in: Option<SignIn>,
    /// The role that the request needs.
    pub role: Role,
    /// The method and the route: `DELETE /collections/{name}`.
    pub action: String,
    /// The path of the request.
    pub path: String,
    /// The status of the reply.
    pub status: u16,
    /// What the request has made: the path of a job, a mirror, a key or an object.
    pub location: Option<String>,
    /// The id of the request in the log.
    pub request_id: Option<String>,
}

impl From<(i64, AuditEntry)> for AuditEntryReply {
    fn from((number, entry): (i64, AuditEntry)) -> Self {
        let AuditEntry { at, name, sign_in, role, action, path, status, location, request_id } = entry;
        Self { number, at: at.to_string(), name, sign_in, role, action, path, status, location, request_id }
    }
}

/// List who has changed what, newest first.
///
/// An entry is added for each request that needs the role `write` or `admin` and succeeds. Of each of these roles, the newest
/// 10,000 entries are kept.
#[utoipa::path(get, path = "/audit", tag = "keys", params(AuditParams),
    responses((status = 200, body = AuditReply), (status = 422, body = ErrorReply)))]
async fn list_audit(
    State(audit): State<Audit>,
    Query(params): Query<AuditParams>,
) -> Result<axum::Json<AuditReply>, ApiError> {
    let page = audit.page(params.before, params.limit).await.map_err(JobsError::Ledger)?;
    let full = page.len() == params.limit as usize;
    let next = page.last().filter(|_| full).map(|(number, _)| *number);
    Ok(axum::Json(AuditReply { entries: page.into_iter().map(AuditEntryReply::from).collect(), next }))
}
