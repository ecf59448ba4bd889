//! `/jobs/{id}/pause` and `/jobs/{id}/resume`.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::JobReply;
use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Path};
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(pause_job)).routes(routes!(resume_job))
}

/// Pause a job until it is resumed.
///
/// It starts no more images; the images in flight are finished. Its work and its place in the queue stay, also if the service is
/// restarted. A job that has begun keeps its collection: no other job starts on it. A job that is paused already does not change.
#[utoipa::path(post, path = "/jobs/{id}/pause", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = JobReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
async fn pause_job(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<JobReply>, ApiError> {
    let id = jobs.pause(&id).await?;
    Ok(axum::Json(JobReply::from(jobs.get(&id.to_string()).await?)))
}

/// Resume a paused job. A job that is not paused does not change.
#[utoipa::path(post, path = "/jobs/{id}/resume", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = JobReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
async fn resume_job(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<JobReply>, ApiError> {
    let id = jobs.resume(&id).await?;
    Ok(axum::Json(JobReply::from(jobs.get(&id.to_string()).await?)))
}
