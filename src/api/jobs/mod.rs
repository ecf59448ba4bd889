//! `/jobs` and `/ray/jobs`.

mod counts_reply;
mod error;
mod events;
mod failures;
mod job_reply;
mod logs;
mod move_job;
mod pause;
mod prune;
mod ray;
mod submit;
mod throughput;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::http::{ApiError, ErrorReply, Path, Query};
use crate::jobs::Jobs;

pub use counts_reply::{CountsReply, ExamplesReply, PlanReply, StageReply, StagesReply};
pub use failures::{FailureReply, FailuresReply};
pub use job_reply::{JobReply, JobsReply, StopReply, WaitingReply, WorkerReply};
pub use logs::LogsReply;
pub use move_job::{MoveReply, MoveRequest};
pub use prune::{PruneReply, PruneRequest};
pub use ray::{RayJobReply, RaySubmitRequest};
pub(super) use submit::{Accepted, accepted_reply, parse_executor};
pub use submit::{MaxFailures, SubmitReply, SubmitRequest};
pub use throughput::ThroughputReply;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(get_job, stop_job))
        .merge(submit::routes())
        .merge(move_job::routes())
        .merge(pause::routes())
        .merge(prune::routes())
        .merge(logs::routes())
        .merge(failures::routes())
        .merge(throughput::routes())
        .merge(ray::routes())
}

/// The query parameters of the list of jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Number of jobs, 1 to 100.
    #[serde(default = "default_limit")]
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: u32,
    /// Only jobs that were submitted before this one.
    #[param(format = Uuid)]
    before: Option<String>,
}

fn default_limit() -> u32 {
    20
}

/// List jobs, newest first.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(ListParams),
    responses((status = 200, body = JobsReply), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn list_jobs(
    State(jobs): State<Jobs>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<JobsReply>, ApiError> {
    let views = jobs.list(params.limit, params.before.as_deref()).await?;
    let full = views.len() == params.limit as usize;
    let next = views.last().filter(|_| full).map(|view| view.job.id.to_string());
    Ok(axum::Json(JobsReply { jobs: views.into_iter().map(JobReply::from).collect(), next }))
}

/// Return the status of a job.
///
/// With `Accept: text/event-stream` the reply is a stream of events `job`, each with this body, until the job ends.
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 200, content((JobReply = "application/json"), (String = "text/event-stream"))), (status = 404, body = ErrorReply)))]
async fn get_job(State(jobs): State<Jobs>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    if events::accepts_event_stream(&headers) {
        return events::stream_job(jobs, id).await;
    }
    Ok(axum::Json(JobReply::from(jobs.get(&id).await?)).into_response())
}

/// Stop a job. It starts no more images; images that it has indexed stay in the index.
#[utoipa::path(delete, path = "/jobs/{id}", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = StopReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
async fn stop_job(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<StopReply>, ApiError> {
    let id = jobs.stop(&id).await?;
    Ok(axum::Json(StopReply { job_id: id.to_string(), status: "stopped".to_owned() }))
}
