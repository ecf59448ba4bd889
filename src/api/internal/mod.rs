//! `/internal/jobs/{id}/…`: the protocol between the service and the workers of a job. It is protected by the token of
//! the job, not by the API keys. It is not in the OpenAPI document, because both sides are this binary.

mod checked;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value, json};

use super::AppState;
use super::auth::AuthorizedJob;
use super::http::extract::BodyLimit;
use super::http::{ApiError, Path};
use crate::domain::wire::{RecordsReply, RecordsRequest};
use crate::jobs::remote::protocol::wire::{
    ExitRequest, HeartbeatRequest, JoinReply, JoinRequest, LeaseReply, LeaseRequest, LeaseStatusReply, LogsRequest,
    OperatorErrorRequest, ResultRequest, SummaryReply,
};
use crate::jobs::{JobsError, WorkerName};

use checked::Checked;

/// Prefix of the paths that are protected by the token of a job.
pub(super) const PREFIX: &str = "/internal/";

/// Maximum size of a body in bytes: a batch of records, or the outcomes of the largest lease.
const MAX_BODY: usize = 16 * 1024 * 1024;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/internal/jobs/{id}/workers/{worker}", post(join))
        .route("/internal/jobs/{id}/workers/{worker}/exit", post(exit))
        .route("/internal/jobs/{id}/batches/{batch}/result", post(report))
        .route("/internal/jobs/{id}/heartbeat", post(heartbeat))
        .route("/internal/jobs/{id}/logs", post(logs))
        .route("/internal/jobs/{id}/operator-error", post(operator_error))
        .route("/internal/jobs/{id}/records", post(records))
        .route("/internal/jobs/{id}/summary", get(summary))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(Extension(BodyLimit(MAX_BODY)))
}

/// Routes that limit their time themselves: a request for work waits while there is none.
pub(super) fn long_routes() -> Router<AppState> {
    Router::new()
        .route("/internal/jobs/{id}/leases", post(lease))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(Extension(BodyLimit(MAX_BODY)))
}

async fn join(
    AuthorizedJob(job): AuthorizedJob,
    Path((_, worker)): Path<(String, String)>,
    Checked(request): Checked<JoinRequest>,
) -> Result<axum::Json<JoinReply>, ApiError> {
    Ok(axum::Json(job.join(&worker, &request).await?))
}

async fn lease(
    AuthorizedJob(job): AuthorizedJob,
    Checked(request): Checked<LeaseRequest>,
) -> Result<axum::Json<LeaseReply>, ApiError> {
    Ok(axum::Json(job.lease(request).await?))
}

async fn report(
    AuthorizedJob(job): AuthorizedJob,
    Path((_, batch)): Path<(String, i64)>,
    Checked(request): Checked<ResultRequest>,
) -> Result<axum::Json<LeaseStatusReply>, ApiError> {
    Ok(axum::Json(job.report(batch, request).await?.into()))
}

async fn heartbeat(
    AuthorizedJob(job): AuthorizedJob,
    Checked(request): Checked<HeartbeatRequest>,
) -> Result<axum::Json<LeaseStatusReply>, ApiError> {
    Ok(axum::Json(job.renew(request).await?.into()))
}

async fn exit(
    AuthorizedJob(job): AuthorizedJob,
    Path((_, worker)): Path<(String, String)>,
    Checked(ExitRequest { rc }): Checked<ExitRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    let worker = WorkerName::parse(&worker).map_err(JobsError::from)?;
    job.exit(&worker, rc).await?;
    Ok(axum::Json(json!({})))
}

async fn logs(
    AuthorizedJob(job): AuthorizedJob,
    Checked(LogsRequest { worker, lines }): Checked<LogsRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    job.log(&worker, lines).await?;
    Ok(axum::Json(json!({})))
}

async fn operator_error(
    AuthorizedJob(job): AuthorizedJob,
    Checked(OperatorErrorRequest { worker, problem }): Checked<OperatorErrorRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    job.operator_error(&worker, &problem).await?;
    Ok(axum::Json(json!({})))
}

async fn records(
    AuthorizedJob(job): AuthorizedJob,
    Checked(request): Checked<RecordsRequest>,
) -> Result<axum::Json<RecordsReply>, ApiError> {
    Ok(axum::Json(job.records(request).await?))
}

async fn summary(AuthorizedJob(job): AuthorizedJob) -> Result<axum::Json<SummaryReply>, ApiError> {
    Ok(axum::Json(job.summary().await?))
}
