//! `/internal/jobs/{id}/…`: the protocol between the service and the workers of a job. It is protected by the token of
//! the job, not by the API keys. It is not in the OpenAPI document, because both sides are this binary.

use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::AppState;
use super::error::ApiError;
use super::extract::{BodyLimit, Path, read_body};
use crate::domain::wire::{RecordsReply, RecordsRequest};
use crate::jobs::remote::wire::{
    ExitRequest, HeartbeatRequest, JoinReply, JoinRequest, LeaseReply, LeaseRequest, LeaseStatusReply, LogsRequest,
    OperatorErrorRequest, ResultRequest, SummaryReply,
};
use crate::jobs::{Bounded, Jobs, JobsError, WorkerJob, WorkerName};

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

/// Extracts the job of the path, if the request has its token. The token is checked before the body is read.
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

/// Extracts a JSON object and checks the bounds of its fields.
struct Checked<T>(T);

impl<T: DeserializeOwned + Bounded, S: Send + Sync> FromRequest<S> for Checked<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (request, bytes) = read_body(request).await.map_err(IntoResponse::into_response)?;
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(ApiError::malformed("the body must be a JSON object, not an array").into_response());
        }
        let body = match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(body)) => body,
            Err(rejected) => {
                let error = too_long(&bytes).unwrap_or_else(|| ApiError::from(rejected));
                return Err(error.into_response());
            }
        };
        body.check().map_err(|error| ApiError::from(error).into_response())?;
        Ok(Self(body))
    }
}

/// If a body cannot be parsed, a text of more bytes than this, or a list of more entries than [`LONG_LIST`], is
/// reported as the reason.
const LONG_TEXT: usize = 64 * 1024;
const LONG_LIST: usize = 10_000;

/// Returns the error for the first field that is too long, in a body that cannot be parsed. The type of the body may
/// not have this field.
fn too_long(bytes: &[u8]) -> Option<ApiError> {
    let body: Value = serde_json::from_slice(bytes).ok()?;
    let (field, problem) = too_long_field("body", &body)?;
    let plain: String = field.chars().filter(char::is_ascii_graphic).take(64).collect();
    Some(ApiError::invalid(&plain, problem))
}

fn too_long_field<'a>(name: &'a str, value: &'a Value) -> Option<(&'a str, String)> {
    match value {
        Value::String(text) if text.len() > LONG_TEXT => {
            Some((name, format!("has {} bytes; at most {LONG_TEXT} are allowed", text.len())))
        }
        Value::Array(items) if items.len() > LONG_LIST => {
            Some((name, format!("has {} entries; at most {LONG_LIST} are allowed", items.len())))
        }
        Value::Array(items) => items.iter().find_map(|item| too_long_field(name, item)),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| too_long_field(name, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

async fn join(
    Admitted(job): Admitted,
    Path((_, worker)): Path<(String, String)>,
    Checked(request): Checked<JoinRequest>,
) -> Result<axum::Json<JoinReply>, ApiError> {
    Ok(axum::Json(job.join(&worker, &request).await?))
}

async fn lease(
    Admitted(job): Admitted,
    Checked(request): Checked<LeaseRequest>,
) -> Result<axum::Json<LeaseReply>, ApiError> {
    Ok(axum::Json(job.lease(request).await?))
}

async fn report(
    Admitted(job): Admitted,
    Path((_, batch)): Path<(String, i64)>,
    Checked(request): Checked<ResultRequest>,
) -> Result<axum::Json<LeaseStatusReply>, ApiError> {
    Ok(axum::Json(job.report(batch, request).await?.into()))
}

async fn heartbeat(
    Admitted(job): Admitted,
    Checked(request): Checked<HeartbeatRequest>,
) -> Result<axum::Json<LeaseStatusReply>, ApiError> {
    Ok(axum::Json(job.renew(request).await?.into()))
}

async fn exit(
    Admitted(job): Admitted,
    Path((_, worker)): Path<(String, String)>,
    Checked(ExitRequest { rc }): Checked<ExitRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    let worker = WorkerName::parse(&worker).map_err(JobsError::from)?;
    job.exit(&worker, rc).await?;
    Ok(axum::Json(json!({})))
}

async fn logs(
    Admitted(job): Admitted,
    Checked(LogsRequest { worker, lines }): Checked<LogsRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    job.log(&worker, lines).await?;
    Ok(axum::Json(json!({})))
}

async fn operator_error(
    Admitted(job): Admitted,
    Checked(OperatorErrorRequest { worker, problem }): Checked<OperatorErrorRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    job.operator_error(&worker, &problem).await?;
    Ok(axum::Json(json!({})))
}

async fn records(
    Admitted(job): Admitted,
    Checked(request): Checked<RecordsRequest>,
) -> Result<axum::Json<RecordsReply>, ApiError> {
    Ok(axum::Json(job.records(request).await?))
}

async fn summary(Admitted(job): Admitted) -> Result<axum::Json<SummaryReply>, ApiError> {
    Ok(axum::Json(job.summary().await?))
}
