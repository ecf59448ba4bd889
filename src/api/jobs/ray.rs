//! `/ray/jobs`: the same jobs as under `/jobs`, with the field names of the iNatInq API.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::submit::{Accepted, SubmitReply, accepted_reply};
use super::{LogsReply, StopReply};
use crate::api::http::bounded_json::or_default;
use crate::api::http::whole_number::optional_whole_number;
use crate::api::http::{ApiError, ErrorReply, Json, Path};
use crate::api::{AppState, Defaults};
use crate::domain::{Executor, JobState};
use crate::jobs::{Jobs, Submission};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(submit_ray_job))
        .routes(routes!(get_ray_job, stop_ray_job))
        .routes(routes!(get_ray_job_logs))
}

/// A new job on Ray, with the fields of iNatInq.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RaySubmitRequest {
    /// The bucket. It must be `S3_BUCKET` or one of `S3_ALLOWED_BUCKETS`.
    #[schema(min_length = 1)]
    pub s3_bucket: String,
    /// Index only keys that start with this prefix; all keys by default.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub s3_prefix: String,
    /// The collection for the vectors.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// Index at most this many new or changed images.
    #[serde(default, deserialize_with = "optional_whole_number")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub image_max_items: Option<u64>,
    /// Accepted for compatibility with older clients, but without effect: the bucket decides the size of the pages.
    #[serde(default, deserialize_with = "optional_whole_number")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub image_page_size: Option<u64>,
}

/// A job, with the fields of `GET /ray/jobs/{id}` of iNatInq.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RayJobReply {
    /// The id of the job.
    #[schema(format = Uuid)]
    pub job_id: String,
    /// The state: `PENDING`, `RUNNING`, `PAUSED`, `SUCCEEDED`, `FAILED` or `STOPPED`.
    #[schema(value_type = JobState)]
    pub status: String,
    /// Why the job failed, or a note on its success.
    pub message: Option<String>,
}

/// Index the images of a bucket on the Ray cluster of `RAY_ADDRESS`. `POST /jobs/images` with `"executor": "ray"` has
/// more options.
#[utoipa::path(post, path = "/ray/jobs/images", tag = "jobs", request_body = RaySubmitRequest,
    responses((status = 202, body = SubmitReply), (status = 400, body = ErrorReply), (status = 403, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn submit_ray_job(
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Json(request): Json<RaySubmitRequest>,
) -> Result<Accepted, ApiError> {
    let job = jobs
        .submit(Submission {
            bucket: Some(request.s3_bucket),
            prefix: request.s3_prefix,
            collection: request.collection,
            max_items: request.image_max_items,
            executor: Executor::Ray,
            ..Submission::default()
        })
        .await?;
    accepted_reply(&jobs, job, &defaults).await
}

/// Return the status of a job.
#[utoipa::path(get, path = "/ray/jobs/{id}", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = RayJobReply), (status = 404, body = ErrorReply)))]
async fn get_ray_job(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<RayJobReply>, ApiError> {
    let job = jobs.get(&id).await?.job;
    let status = job.state.as_str().to_owned();
    Ok(axum::Json(RayJobReply { job_id: job.id.to_string(), status, message: job.message }))
}

/// Return the log of a job, as one string with newlines.
#[utoipa::path(get, path = "/ray/jobs/{id}/logs", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = LogsReply), (status = 404, body = ErrorReply)))]
async fn get_ray_job_logs(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<LogsReply>, ApiError> {
    let page = jobs.logs(&id, None).await?;
    Ok(axum::Json(LogsReply::new(id, page, None)))
}

/// Stop a job.
#[utoipa::path(delete, path = "/ray/jobs/{id}", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = StopReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
async fn stop_ray_job(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<StopReply>, ApiError> {
    let id = jobs.stop(&id).await?;
    Ok(axum::Json(StopReply { job_id: id.to_string(), status: "stopped".to_owned() }))
}
