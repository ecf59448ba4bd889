//! Whether the process answers, and whether it can be of use.

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

/// The process answers. Asks no dependency, on purpose: a restart would cure none.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = HealthReply)))]
async fn healthz() -> axum::Json<HealthReply> {
    axum::Json(HealthReply { status: "ok".to_owned() })
}

/// Searches can be answered: both towers of the model have passed their probe and answer, a store is there. One of
/// several that is not is a warning. A service that is about to end is not ready.
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
