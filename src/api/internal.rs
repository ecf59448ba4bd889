//! `/internal/jobs/{id}/…`: what the workers of a job speak. Behind the job's own token, not behind the API's keys, and no
//! part of the public description: both sides are this binary.

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::AppState;
use super::error::ApiError;
use super::extract::{Json, Path};
use crate::domain::wire::{RecordsReply, RecordsRequest};
use crate::jobs::wire::{
    ExitRequest, HeartbeatRequest, JoinReply, JoinRequest, LeaseReply, LeaseRequest, LogsRequest, OperatorErrorRequest,
    ResultRequest, StandingReply, SummaryReply,
};
use crate::jobs::{Jobs, WorkerJob};

/// Paths under it have a guard of their own.
pub(super) const PREFIX: &str = "/internal/";

/// Bytes of a body: a batch of records, or the outcomes of the largest lease.
const MOST_BODY: usize = 16 * 1024 * 1024;

/// Outcomes in one body.
const MOST_OUTCOMES: usize = 10_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/internal/jobs/{id}/workers/{worker}", post(join))
        .route("/internal/jobs/{id}/workers/{worker}/exit", post(exit))
        .route("/internal/jobs/{id}/leases", post(lease))
        .route("/internal/jobs/{id}/batches/{batch}/result", post(report))
        .route("/internal/jobs/{id}/heartbeat", post(heartbeat))
        .route("/internal/jobs/{id}/logs", post(logs))
        .route("/internal/jobs/{id}/operator-error", post(operator_error))
        .route("/internal/jobs/{id}/records", post(records))
        .route("/internal/jobs/{id}/summary", get(summary))
        .layer(DefaultBodyLimit::max(MOST_BODY))
}

/// The job of the path, to one who shows its token. Looked at before the body is read.
struct Admitted(WorkerJob);

impl FromRequestParts<AppState> for Admitted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let State(jobs) = State::<Jobs>::from_request_parts(parts, state).await.unwrap_or_else(|never| match never {});
        let id = parts.uri.path().trim_start_matches("/internal/jobs/").split('/').next().unwrap_or_default();
        Ok(Self(jobs.admit(id, bearer(&parts.headers)).await?))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn join(
    Admitted(job): Admitted,
    Path((_, worker)): Path<(String, String)>,
    Json(request): Json<JoinRequest>,
) -> Result<axum::Json<JoinReply>, ApiError> {
    Ok(axum::Json(job.join(&worker, &request)?))
}

async fn lease(
    Admitted(job): Admitted,
    Json(LeaseRequest { worker }): Json<LeaseRequest>,
) -> Result<axum::Json<LeaseReply>, ApiError> {
    Ok(axum::Json(job.lease(&worker).await?))
}

async fn report(
    Admitted(job): Admitted,
    Path((_, batch)): Path<(String, i64)>,
    Json(ResultRequest { worker, attempt, outcomes, timings }): Json<ResultRequest>,
) -> Result<axum::Json<StandingReply>, ApiError> {
    if outcomes.len() > MOST_OUTCOMES {
        return Err(ApiError::invalid("outcomes", format!("at most {MOST_OUTCOMES}")));
    }
    Ok(axum::Json(job.report(&worker, batch, attempt, outcomes, timings).await?.into()))
}

async fn heartbeat(
    Admitted(job): Admitted,
    Json(HeartbeatRequest { worker, held, waiting_on, timings }): Json<HeartbeatRequest>,
) -> Result<axum::Json<StandingReply>, ApiError> {
    Ok(axum::Json(job.renew(&worker, held, waiting_on, timings).await?.into()))
}

async fn exit(
    Admitted(job): Admitted,
    Path((_, worker)): Path<(String, String)>,
    Json(ExitRequest { rc }): Json<ExitRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    job.exit(&worker, rc).await?;
    Ok(axum::Json(json!({})))
}

async fn logs(
    Admitted(job): Admitted,
    Json(LogsRequest { worker, lines }): Json<LogsRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    job.log(&worker, lines).await?;
    Ok(axum::Json(json!({})))
}

async fn operator_error(
    Admitted(job): Admitted,
    Json(OperatorErrorRequest { worker, problem }): Json<OperatorErrorRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    job.operator_error(&worker, &problem).await?;
    Ok(axum::Json(json!({})))
}

async fn records(
    Admitted(job): Admitted,
    Json(request): Json<RecordsRequest>,
) -> Result<axum::Json<RecordsReply>, ApiError> {
    Ok(axum::Json(job.records(request).await?))
}

async fn summary(Admitted(job): Admitted) -> Result<axum::Json<SummaryReply>, ApiError> {
    Ok(axum::Json(job.summary().await?))
}
