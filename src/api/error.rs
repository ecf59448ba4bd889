//! The error replies of the API. Only this file maps errors to statuses.
//!
//! Every error reply has the body `{"error","message","code","request_id"}`. The details of an error inside a
//! dependency are in the log, not in the body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State, rejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tower_http::request_id::RequestId;
use utoipa::ToSchema;

use super::refusals::{Refusals, shortened_path};
use crate::domain::{DependencyError, FailureKind};
use crate::images::ImagesError;
use crate::jobs::placing::cluster::ClusterError;
use crate::jobs::{DiskProblem, JobsError, RETRY_WHEN_FULL};
use crate::search::{RETRY_WHEN_BUSY, SearchError};

/// The body of every error reply.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorReply {
    /// The text of the status: `Bad Request`.
    pub error: String,
    /// What is wrong with which input, and what to change.
    pub message: String,
    /// A stable code for programs: `invalid_limit`.
    pub code: String,
    /// The id of the request in the log.
    pub request_id: Option<String>,
}

/// An error reply.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
    retry_after: Option<Duration>,
}

impl ApiError {
    fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), retry_after: None }
    }

    /// Returns the body of the reply to the request with this id.
    pub(super) fn reply(self, request_id: Option<String>) -> ErrorReply {
        let error = self.status.canonical_reason().unwrap_or("Error").to_owned();
        ErrorReply { error, message: self.message, code: self.code, request_id }
    }

    fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// 404 for an unknown path.
    pub(super) fn no_route(path: &str) -> Self {
        let message = format!("there is no route {path}; /docs lists all routes");
        Self::new(StatusCode::NOT_FOUND, "unknown_route", message)
    }

    /// 405 for a method that the path does not have.
    pub(super) fn wrong_method(method: &str, path: &str) -> Self {
        let message = format!("{path} does not support the method {method}; /docs lists the methods of each route");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 401 for a missing or invalid key or token.
    pub(super) fn no_key(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 403 for a request that a page of another site made a browser send.
    pub(super) fn cross_origin(message: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_origin", message)
    }

    /// 422 for a field with a value that is not allowed. The message begins with the name of the field.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        let code = format!("invalid_{field}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, format!("{field}: {}", message.into()))
    }

    /// 422 for a query parameter that the route does not have.
    pub(super) fn unknown_parameter<'a>(
        name: &str,
        nearest: Option<&str>,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let name: String = name.chars().take(100).collect();
        let known = known.collect::<Vec<_>>().join(", ");
        let advice = match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if known.is_empty() => "this route has no query parameters".to_owned(),
            None => format!("the parameters of this route are: {known}"),
        };
        let message = format!("the query parameter `{name}` is not known; {advice}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_parameter", message)
    }

    /// 400 for a body that cannot be read.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_body", message)
    }

    /// 400 for a URI that cannot be read.
    pub(super) fn not_utf8(part: &str) -> Self {
        let message = format!("{part} is not UTF-8: encode its characters as UTF-8 and percent-encode the bytes");
        Self::new(StatusCode::BAD_REQUEST, "invalid_utf8", message)
    }

    /// 415 for a body that is not a form.
    pub(super) fn not_multipart() -> Self {
        let message = "expected a request with `Content-Type: multipart/form-data` and a field `file`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_multipart", message)
    }

    /// 413 for a JSON body.
    pub(super) fn body_too_large(limit: usize) -> Self {
        let message = format!("the body is too large; at most {limit} bytes are allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 413 for a field of a form that is not a file.
    pub(super) fn field_too_large(field: &str, limit: usize) -> Self {
        let message = format!("the field `{field}` is too large; at most {limit} bytes are allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 408 for a request whose body did not arrive in time.
    pub(super) fn body_too_slow(waited: Duration) -> Self {
        let seconds = waited.as_secs_f64();
        let message = format!(
            "the body of the request did not arrive within {seconds} s (GLIMPSE_REQUEST_TIMEOUT, or less while the \
             service stops)"
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timed_out", message)
    }

    /// 413 for a file.
    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the file is too large; at most {limit} bytes are allowed (IMAGE_MAX_SIZE_MB)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 416 for a range outside the file. `size` is that of the file in bytes.
    pub(super) fn range(range: &str, size: u64) -> Self {
        let message = format!("the range `{range}` is outside the file, which has {size} bytes");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
    }

    /// 504 for a request that this service did not finish in time.
    pub(super) fn too_slow() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timed_out",
            "the request took too long and was cancelled (GLIMPSE_REQUEST_TIMEOUT)",
        )
    }

    /// 500 for an internal error.
    pub(super) fn internal() -> Self {
        let message = "internal error; the log has the details under the id of this request";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// Changes the error into 503 `not_ready`. The message stays the same.
    pub(super) fn not_ready(self) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "not_ready".to_owned(), ..self }
    }

    /// 503 for a cluster that is down, because it may come back; 502 for a cluster that refuses the service until the
    /// settings are corrected.
    fn cluster(error: &ClusterError) -> Self {
        tracing::error!(%error, detail = error.detail(), "the cluster cannot be used");
        if error.is_down() {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "ray_unavailable", error.to_string())
                .after(RETRY_WHEN_FULL);
        }
        Self::new(StatusCode::BAD_GATEWAY, "ray_refused", error.to_string())
    }

    /// 503 while the disk of the ledger cannot be used. The request changed nothing, and may succeed later.
    fn ledger(disk: Option<DiskProblem>) -> Self {
        let (code, reason) = match disk {
            Some(DiskProblem::NoSpace) => ("ledger_full", "has no space left; free some space or raise its quota"),
            Some(DiskProblem::ReadOnly) => ("ledger_read_only", "is read-only; make it writable"),
            Some(DiskProblem::Locked) => ("ledger_locked", "is locked by another process; stop that process"),
            Some(DiskProblem::Failing) => ("ledger_failing", "cannot be read or written; see the log"),
            None => return Self::internal(),
        };
        let message =
            format!("the disk of the ledger (GLIMPSE_DATA_DIR) {reason}. Nothing was changed; try again later");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).after(RETRY_WHEN_FULL)
    }

    fn dependency(down: &DependencyError) -> Self {
        tracing::error!(dependency = %down.dependency, error = %down, "dependency failed");
        let (status, code, text) = match down.trouble {
            FailureKind::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "is unavailable"),
            FailureKind::Busy { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy", "is busy"),
            FailureKind::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "dependency_timed_out", "did not answer in time"),
            FailureKind::Full => (StatusCode::SERVICE_UNAVAILABLE, "dependency_full", "has no space left"),
            FailureKind::Failed => (StatusCode::BAD_GATEWAY, "dependency_failed", "failed"),
            FailureKind::Refused => {
                (StatusCode::BAD_GATEWAY, "dependency_refused", "refused the request: check its settings")
            }
            FailureKind::Misconfigured => {
                return Self::new(StatusCode::BAD_GATEWAY, "dependency_misconfigured", down.for_client());
            }
        };
        let error = Self::new(status, code, format!("{} {text}", down.dependency));
        match down.trouble.retry_after() {
            Some(wait) => error.after(wait),
            None => error,
        }
    }
}

impl From<JobsError> for ApiError {
    fn from(error: JobsError) -> Self {
        let message = error.to_string();
        match error {
            JobsError::Collection(_) => Self::invalid("collection", message),
            JobsError::BucketNotAllowed(_) => Self::new(StatusCode::FORBIDDEN, "bucket_not_allowed", message),
            JobsError::MetadataKey(_) => Self::invalid("metadata_key", message),
            JobsError::WorkerToken => Self::no_key(&message),
            JobsError::NoToken => Self::internal(),
            JobsError::Over(_) => Self::new(StatusCode::GONE, "job_is_over", message),
            JobsError::NotJoined(_) => Self::new(StatusCode::CONFLICT, "not_joined", message),
            JobsError::WorkerRefused(_) => Self::new(StatusCode::CONFLICT, "worker_refused", message),
            JobsError::WorkerName(_) => Self::invalid("worker", message),
            JobsError::TooManyWorkers(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_workers", message).after(RETRY_WHEN_FULL)
            }
            JobsError::NotRunning => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_under_way", message).after(Duration::from_secs(1))
            }
            JobsError::Invalid(field, _) => Self::invalid(field, message),
            JobsError::NotFinal(_) => Self::new(StatusCode::CONFLICT, "job_not_final", message),
            JobsError::NothingFailed(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing_failed", message),
            JobsError::NoCluster => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_executor", message),
            JobsError::Cluster(error) => Self::cluster(&error),
            JobsError::QueueFull => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message).after(RETRY_WHEN_FULL)
            }
            JobsError::Draining => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", message).after(RETRY_WHEN_FULL)
            }
            JobsError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "unknown_job", message),
            JobsError::AlreadyFinal(_) => Self::new(StatusCode::CONFLICT, "job_is_final", message),
            JobsError::Space(_) | JobsError::SpaceDiffers { .. } => {
                Self::new(StatusCode::CONFLICT, "space_mismatch", message)
            }
            JobsError::CollectionBusy(_) => Self::new(StatusCode::CONFLICT, "collection_busy", message),
            JobsError::Index(error) => SearchError::Index(error).into(),
            JobsError::Ledger(error) => {
                tracing::error!(%error, "ledger failed");
                Self::ledger(error.disk())
            }
        }
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        use crate::search::Refusal;
        let message = error.to_string();
        match error.refusal() {
            Refusal::Invalid(field) => {
                let code = format!("invalid_{field}");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
            }
            Refusal::Collection => Self::invalid("collection", message),
            Refusal::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            Refusal::NotAnImage => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_format", message),
            Refusal::BadImage(class) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, class.as_str(), message),
            Refusal::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).after(RETRY_WHEN_BUSY),
            Refusal::UnknownImage => Self::new(StatusCode::NOT_FOUND, "unknown_image", message),
            Refusal::UnknownCollection => Self::new(StatusCode::NOT_FOUND, "unknown_collection", message),
            Refusal::Conflict(code) => Self::new(StatusCode::CONFLICT, code, message),
            Refusal::RejectedInput => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "embed_rejected", message),
            Refusal::BadProvider => {
                tracing::error!(%error, "embedding provider");
                Self::new(StatusCode::BAD_GATEWAY, "bad_provider", message)
            }
            Refusal::Dependency(down) => Self::dependency(down),
            Refusal::Internal => {
                tracing::error!(%error, "search failed");
                Self::internal()
            }
        }
    }
}

impl From<ImagesError> for ApiError {
    fn from(error: ImagesError) -> Self {
        let message = error.to_string();
        match error {
            ImagesError::Unknown { .. } => Self::new(StatusCode::NOT_FOUND, "unknown_image", message),
            ImagesError::Collection(_) => Self::invalid("collection", message),
            ImagesError::Vanished(_) => Self::new(StatusCode::NOT_FOUND, "object_vanished", message),
            ImagesError::Image(error) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.class().as_str(), message),
            ImagesError::Encoding(error) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.class().as_str(), message)
            }
            ImagesError::Refused => Self::new(StatusCode::BAD_GATEWAY, "bucket_refused", message),
            ImagesError::Dependency(down) => Self::dependency(&down),
            ImagesError::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).after(RETRY_WHEN_BUSY),
            ImagesError::Panicked => Self::internal(),
            ImagesError::Index(error) => SearchError::Index(error).into(),
        }
    }
}

impl From<rejection::JsonRejection> for ApiError {
    fn from(rejected: rejection::JsonRejection) -> Self {
        let message = shortened(rejected.body_text());
        match rejected {
            rejection::JsonRejection::JsonDataError(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", message)
            }
            rejection::JsonRejection::JsonSyntaxError(_) => Self::malformed(message),
            rejection::JsonRejection::MissingJsonContentType(_) => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message)
            }
            other => Self::new(other.status(), "malformed_body", message),
        }
    }
}

/// Maximum number of characters of a message that may contain input of the client.
const MAX_MESSAGE_CHARS: usize = 500;

/// Returns the beginning and the end of a long message: the beginning names the field, the end says what is expected.
fn shortened(message: String) -> String {
    let letters: Vec<char> = message.chars().collect();
    if letters.len() <= MAX_MESSAGE_CHARS {
        return message;
    }
    let (begin, end) = (&letters[..MAX_MESSAGE_CHARS / 2], &letters[letters.len() - MAX_MESSAGE_CHARS / 2..]);
    begin.iter().chain(&['…']).chain(end).collect()
}

impl From<rejection::QueryRejection> for ApiError {
    fn from(rejected: rejection::QueryRejection) -> Self {
        let message = rejected.body_text();
        // "Failed to deserialize query string: limit: invalid digit found in string"
        let detail = message.split_once(": ").map_or(message.as_str(), |(_, detail)| detail);
        let field = detail.split_once(": ").map(|(field, _)| field).filter(|field| !field.contains(' '));
        match field {
            Some(field) => {
                let code = format!("invalid_{field}");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
            }
            None => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", detail),
        }
    }
}

impl From<rejection::PathRejection> for ApiError {
    fn from(rejected: rejection::PathRejection) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_route", rejected.body_text())
    }
}

impl IntoResponse for ApiError {
    /// Adds the error to the extensions of the reply. [`finish`] writes the body, because it knows the id of the
    /// request.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            if let Ok(value) = HeaderValue::from_str(&format!("{seconds:.0}")) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware that writes the body of every error reply, with the id of the request. Errors of axum itself get such a
/// body too.
pub(super) async fn finish(State(refusals): State<Arc<Refusals>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let (method, path) = (request.method().clone(), shortened_path(request.uri().path()).to_owned());
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok().map(str::to_owned));
    let response = next.run(request).await;
    let status = response.status();
    let plain = |response: &Response| response.headers().get(header::CONTENT_TYPE) != Some(&JSON);
    let error = match response.extensions().get::<ApiError>() {
        Some(error) => error.clone(),
        None if (status.is_client_error() || status.is_server_error()) && plain(&response) => {
            let text = status.canonical_reason().unwrap_or("error");
            ApiError::new(status, text.to_lowercase().replace([' ', '-'], "_"), text)
        }
        None => return response,
    };
    if status == StatusCode::UNAUTHORIZED {
        refusals.log(peer, method.as_str(), &path, &error.message);
    }
    let mut reply = (status, axum::Json(error.reply(id))).into_response();
    for name in [header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::ALLOW] {
        if let Some(value) = response.headers().get(&name) {
            reply.headers_mut().insert(name, value.clone());
        }
    }
    reply
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
