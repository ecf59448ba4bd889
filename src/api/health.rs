//! The health checks: `/healthz` and `/readyz`.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::error::{ApiError, ErrorReply};
use super::replies::{HealthReply, ReadyReply};
use crate::jobs::{Jobs, JobsError};
use crate::search::Search;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
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
async fn readyz(State(search): State<Search>, State(jobs): State<Jobs>) -> Result<axum::Json<ReadyReply>, ApiError> {
    if jobs.is_draining() {
        return Err(JobsError::Draining.into());
    }
    let (space, warnings) = search.ready().await.map_err(|error| ApiError::from(error).not_ready())?;
    let status = "ready".to_owned();
    Ok(axum::Json(ReadyReply { status, warnings, model: space.model.clone(), space: space.name() }))
}
