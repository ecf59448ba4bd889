//! `/ray/jobs`: the same jobs as under `/jobs`, in the field names of the original's API.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::error::{ApiError, ErrorReply};
use super::extract::Path;
use super::replies::{LogsReply, RayJobReply, StopReply};
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(submit_ray_job))
        .routes(routes!(get_ray_job, stop_ray_job))
        .routes(routes!(get_ray_job_logs))
}

/// Why no job can go to Ray.
pub(super) fn no_ray() -> ApiError {
    ApiError::invalid("executor", "`ray` needs RAY_ADDRESS, which is not set")
}

/// Index the images of a bucket on a Ray cluster. Needs `RAY_ADDRESS`: without one, `POST /jobs/images` does it here.
#[utoipa::path(post, path = "/ray/jobs/images", tag = "jobs", responses((status = 422, body = ErrorReply)))]
async fn submit_ray_job() -> ApiError {
    no_ray()
}

/// Where a job stands.
#[utoipa::path(get, path = "/ray/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = RayJobReply), (status = 404, body = ErrorReply)))]
async fn get_ray_job(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<RayJobReply>, ApiError> {
    let job = jobs.get(&id).await?.job;
    let status = job.state.as_str().to_owned();
    Ok(axum::Json(RayJobReply { job_id: job.id.to_string(), status, message: job.message }))
}

/// What a job says, as one string.
#[utoipa::path(get, path = "/ray/jobs/{id}/logs", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = LogsReply), (status = 404, body = ErrorReply)))]
async fn get_ray_job_logs(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<LogsReply>, ApiError> {
    let page = jobs.logs(&id, None).await?;
    Ok(axum::Json(LogsReply::new(id, page, None)))
}

/// Stop a job.
#[utoipa::path(delete, path = "/ray/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = StopReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
async fn stop_ray_job(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<StopReply>, ApiError> {
    let id = jobs.stop(&id).await?;
    Ok(axum::Json(StopReply { job_id: id.to_string(), status: "stopped".to_owned() }))
}
