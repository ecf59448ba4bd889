//! The error replies of the CLIP service.

use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::domain::{DependencyError, FailureKind};
use crate::embed::EmbedError;

/// `Retry-After` if the error does not say a time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request gets no vectors.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClipError {
    #[error(
        "there is no route {0}; the routes are POST /embedding/image, POST /embedding/text, GET /, GET /healthz and \
         GET /readyz"
    )]
    NoRoute(String),
    #[error("{1} does not support the method {0}")]
    WrongMethod(String, String),
    #[error("the body is not the JSON that this route expects: {0}")]
    Body(#[source] serde_json::Error),
    #[error("the request cannot be read (status {0})")]
    Unreadable(StatusCode),
    #[error("the body is too large: the limit is one base64 image of IMAGE_MAX_SIZE_MB and 1 MB for the rest")]
    TooLarge,
    #[error("{count} {what} in one request; at most {max} are allowed")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("images[{index}]: {problem}")]
    Input { index: usize, problem: String },
    #[error("the limit of concurrent requests is reached; try again later")]
    Busy(Duration),
    #[error("the request took longer than the time limit")]
    TooSlow,
    #[error("the body of the request did not arrive in time")]
    BodyTooSlow,
    #[error("an internal error occurred; the service log has the details")]
    Panicked,
    #[error(transparent)]
    Embed(#[from] EmbedError),
}

impl ClipError {
    /// 400 to 422: the input is wrong. 429 and 5xx: the client may try again.
    fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod(..) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Unreadable(status) => *status,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. }
            | Self::Input { .. }
            | Self::Embed(EmbedError::Rejected(_) | EmbedError::Failing { .. } | EmbedError::Unsupported) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Embed(EmbedError::Dependency(DependencyError { failure: FailureKind::Busy { .. }, .. })) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Embed(
                EmbedError::Dependency(_)
                | EmbedError::ProbeFailed(_)
                | EmbedError::Invalid(_)
                | EmbedError::WrongCount { .. },
            ) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The message for the client. Details from the model's own code are only in the log: they may show internals.
    fn client_message(&self) -> String {
        match self {
            Self::Embed(EmbedError::Dependency(down)) => format!("the model {}", down.failure),
            other => other.to_string(),
        }
    }
}

impl IntoResponse for ClipError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %self, "the request failed");
        }
        let body =
            Json(json!({"error": status.canonical_reason().unwrap_or("Error"), "message": self.client_message()}));
        match (self, status) {
            (Self::Busy(wait), _) => {
                (status, [(header::RETRY_AFTER, wait.as_secs().to_string())], body).into_response()
            }
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
                (status, [(header::RETRY_AFTER, RETRY_AFTER.as_secs().to_string())], body).into_response()
            }
            _ => (status, body).into_response(),
        }
    }
}
