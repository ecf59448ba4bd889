//! The health checks: `/healthz`, `/readyz` and `/status`.

mod status;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::http::{ApiError, ErrorReply};
use crate::health::{Health, NotReady, Readiness};
use crate::jobs::JobsError;
use crate::search::SearchError;

pub use status::{ProviderReply, RayReply, StatusReply, StoreReply};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).merge(status::routes())
}

/// The result of `/healthz`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthReply {
    /// `ok`
    pub status: String,
}

/// The result of `/readyz`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReadyReply {
    /// `ready`
    pub status: String,
    /// Stores that do not answer, and why, if other stores do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// A disk with little space, keys of the identity provider that cannot be read, and collections that use another model than
    /// that of the settings, each with what to change.
    #[serde(default)]
    #[schema(required = true)]
    pub notes: Vec<String>,
    /// The model.
    pub model: String,
    /// The name of the vector space.
    pub space: String,
}

/// Check that the process answers. Checks no dependency, because a restart would not repair one.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = HealthReply)))]
async fn healthz() -> axum::Json<HealthReply> {
    axum::Json(HealthReply { status: "ok".to_owned() })
}

/// Check that searches can be answered: both encoders of the model (image and text) answer and passed their probe, and
/// at least one store answers. If other stores do not answer, the reply has a warning. A service that stops is not
/// ready.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = ReadyReply), (status = 503, body = ErrorReply)))]
async fn readyz(State(health): State<Health>) -> Result<axum::Json<ReadyReply>, ApiError> {
    let Readiness { space, warnings, notes } = health.ready().await.map_err(not_ready)?;
    let status = "ready".to_owned();
    Ok(axum::Json(ReadyReply { status, warnings, notes, model: space.model.clone(), space: space.name() }))
}

fn not_ready(error: NotReady) -> ApiError {
    let error: SearchError = match error {
        NotReady::Draining => return JobsError::Draining.into(),
        NotReady::Provider(error) => error.into(),
        NotReady::Stores(error) => error.into(),
    };
    ApiError::from(error).with_status(StatusCode::SERVICE_UNAVAILABLE, "not_ready")
}
