//! `/jobs/{id}/executor`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::submit::parse_executor;
use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Json, Path};
use crate::domain::Executor;
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(move_job))
}

/// The new executor of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// The executor: `local`, `workers` or `ray`.
    #[schema(value_type = Executor)]
    pub executor: String,
}

/// A job that continues with another executor.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MoveReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// The new executor.
    #[schema(value_type = Executor)]
    pub executor: String,
    /// With `workers`: the token of the workers (`GLIMPSE_WORKER_TOKEN`). It is returned only once. The previous token
    /// is no longer valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_token: Option<String>,
}

/// Let another executor do the rest of a job that has not ended, for example `local` if the Ray cluster is gone. Images
/// that are done stay done.
#[utoipa::path(post, path = "/jobs/{id}/executor", tag = "jobs", params(("id" = String, Path, format = Uuid)), request_body = MoveRequest,
    responses((status = 200, body = MoveReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn move_job(
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
    Json(request): Json<MoveRequest>,
) -> Result<axum::Json<MoveReply>, ApiError> {
    let moved = jobs.move_to(&id, parse_executor(Some(&request.executor))?).await?;
    Ok(axum::Json(MoveReply {
        job_id: moved.job.to_string(),
        executor: moved.executor.as_str().to_owned(),
        worker_token: moved.worker_token.map(|token| token.reveal().to_owned()),
    }))
}
