//! `/jobs`.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, ErrorReply};
use super::extract::{Json, Path, Query};
use super::replies::{
    FailureReply, FailuresReply, JobReply, JobsReply, LogsReply, MaxFailures, MoveReply, MoveRequest, PruneReply,
    PruneRequest, StopReply, SubmitReply, SubmitRequest,
};
use super::{AppState, Defaults, events};
use crate::domain::{Executor, JobRecord};
use crate::jobs::{Jobs, Submission};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(submit_images_job))
        .routes(routes!(list_jobs))
        .routes(routes!(get_job, stop_job))
        .routes(routes!(retry_job))
        .routes(routes!(move_job))
        .routes(routes!(prune_jobs))
        .routes(routes!(get_job_logs))
        .routes(routes!(get_job_failures))
}

/// The query parameters of the list of jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Number of jobs, 1 to 100.
    #[serde(default = "twenty")]
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: u32,
    /// Only jobs that were submitted before this one.
    #[param(format = Uuid)]
    before: Option<String>,
}

/// The query parameters of the list of failures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FailureParams {
    /// Number of failures, 1 to 1,000.
    #[serde(default = "hundred")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: u32,
    /// `next` of the previous page.
    #[serde(default)]
    after: i64,
}

/// The query parameters of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogParams {
    /// `next` of the previous reply.
    offset: Option<i64>,
}

fn twenty() -> u32 {
    20
}

fn hundred() -> u32 {
    100
}

/// Index the images of a bucket.
///
/// The job runs in the background: follow it at the `Location` of the reply. Images that the collection already has,
/// and that have not changed, are not read again.
#[utoipa::path(post, path = "/jobs/images", tag = "jobs", request_body = SubmitRequest,
    responses((status = 202, body = SubmitReply), (status = 400, body = ErrorReply), (status = 403, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn submit_images_job(
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Json(request): Json<SubmitRequest>,
) -> Result<Accepted, ApiError> {
    let executor = executor(request.executor.as_deref())?;
    let job = jobs
        .submit(Submission {
            bucket: request.s3_bucket,
            prefix: request.s3_prefix,
            collection: request.collection.unwrap_or_else(|| defaults.collection.to_string()),
            max_items: request.image_max_items,
            any_extension: request.any_extension,
            max_failures: request.max_failures.map(|limit| match limit {
                MaxFailures::Count(max) => max.to_string(),
                MaxFailures::Share(share) => share,
            }),
            metadata_key: request.metadata_key,
            executor,
            sync: request.sync,
            dry_run: request.dry_run,
            max_delete_percent: request.max_delete_percent,
            exclude: request.exclude,
        })
        .await?;
    accepted(&jobs, job, &defaults).await
}

pub(super) type Accepted = (StatusCode, [(HeaderName, String); 1], axum::Json<SubmitReply>);

pub(super) async fn accepted(jobs: &Jobs, job: JobRecord, defaults: &Defaults) -> Result<Accepted, ApiError> {
    let worker_token = match job.spec.executor {
        Executor::Local | Executor::Ray => None,
        Executor::Workers => Some(jobs.new_worker_token(job.id).await?.reveal().to_owned()),
    };
    let reply = SubmitReply {
        job_id: job.id.to_string(),
        status: "submitted".to_owned(),
        namespace: defaults.namespace.to_string(),
        s3_bucket: job.spec.bucket,
        s3_prefix: job.spec.prefix,
        collection: job.spec.collection.to_string(),
        image_max_items: job.spec.max_items,
        submitted_at: job.submitted_at.to_string(),
        worker_token,
    };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, format!("/jobs/{}", job.id))], axum::Json(reply)))
}

/// Index the failed images of a finished job again, in a new job with the same options.
///
/// If the job failed before it was complete (`FAILED`, with images left), the new job continues it: it does the rest of
/// the work, including the listing.
#[utoipa::path(post, path = "/jobs/{id}/retry", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 202, body = SubmitReply), (status = 403, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn retry_job(
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
) -> Result<Accepted, ApiError> {
    let job = jobs.retry(&id).await?;
    accepted(&jobs, job, &defaults).await
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
    let moved = jobs.move_to(&id, executor(Some(&request.executor))?).await?;
    Ok(axum::Json(MoveReply {
        job_id: moved.job.to_string(),
        executor: moved.executor.as_str().to_owned(),
        worker_token: moved.worker_token.map(|token| token.reveal().to_owned()),
    }))
}

/// Delete finished jobs with their logs and failures. Images that they indexed stay in the index.
#[utoipa::path(post, path = "/jobs/prune", tag = "jobs", request_body = PruneRequest,
    responses((status = 200, body = PruneReply), (status = 400, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn prune_jobs(
    State(jobs): State<Jobs>,
    Json(request): Json<PruneRequest>,
) -> Result<axum::Json<PruneReply>, ApiError> {
    Ok(axum::Json(PruneReply { removed: jobs.prune(request.keep).await? }))
}

fn executor(name: Option<&str>) -> Result<Executor, ApiError> {
    match name {
        None => Ok(Executor::default()),
        Some(name) => Executor::from_name(name)
            .ok_or_else(|| ApiError::invalid("executor", format!("must be `local`, `workers` or `ray`, not `{name}`"))),
    }
}

/// List jobs, newest first.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(ListParams),
    responses((status = 200, body = JobsReply), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn list_jobs(
    State(jobs): State<Jobs>,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<JobsReply>, ApiError> {
    if !(1..=100).contains(&params.limit) {
        return Err(ApiError::invalid("limit", format!("must be 1 to 100, not {}", params.limit)));
    }
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
    if events::wanted(&headers) {
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

/// Return the log of a job, as one string with newlines.
///
/// Without `offset` the reply has the newest 5,000 lines. With `offset` it has the lines after it; 0 starts at the
/// oldest line that is kept. Use `next` of a reply as the `offset` of the next request, also while the job runs.
///
/// With `Accept: text/event-stream` the reply is a stream of events `log`, one for each line, until the job ends. It
/// starts after the line of `Last-Event-ID` or `offset`.
#[utoipa::path(get, path = "/jobs/{id}/logs", tag = "jobs", params(("id" = String, Path, format = Uuid), LogParams),
    responses((status = 200, content((LogsReply = "application/json"), (String = "text/event-stream"))), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn get_job_logs(
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
    Query(LogParams { offset }): Query<LogParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if events::wanted(&headers) {
        return events::stream_logs(jobs, id, &headers, offset).await;
    }
    let page = jobs.logs(&id, offset).await?;
    Ok(axum::Json(LogsReply::new(id, page, offset)).into_response())
}

/// List the images that could not be indexed, and why.
#[utoipa::path(get, path = "/jobs/{id}/failures", tag = "jobs", params(("id" = String, Path, format = Uuid), FailureParams),
    responses((status = 200, body = FailuresReply), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn get_job_failures(
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
    Query(params): Query<FailureParams>,
) -> Result<axum::Json<FailuresReply>, ApiError> {
    if !(1..=1000).contains(&params.limit) {
        return Err(ApiError::invalid("limit", format!("must be 1 to 1000, not {}", params.limit)));
    }
    let page = jobs.failures(&id, params.after, params.limit).await?;
    let failures = page.failures.into_iter().map(FailureReply::from).collect();
    Ok(axum::Json(FailuresReply { failures, total: page.total, next: page.next }))
}
