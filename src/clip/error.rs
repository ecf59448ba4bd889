//! What a client is told when there is no vector.

use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::domain::{DependencyError, Trouble};
use crate::embed::EmbedError;

/// When a client may come back, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request has no vectors.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClipError {
    #[error("there is nothing at {0}; there is POST /embedding/image, POST /embedding/text, GET / and GET /healthz")]
    NoRoute(String),
    #[error("{1} does not answer to {0}")]
    WrongMethod(String, String),
    #[error("the body cannot be read: {0}")]
    Body(#[source] serde_json::Error),
    #[error("the request cannot be read: {0}")]
    Unreadable(StatusCode),
    #[error("the body is larger than is allowed (IMAGE_MAX_SIZE_MB)")]
    TooLarge,
    #[error("{count} {what} in one request; {most} are allowed")]
    TooMany { what: &'static str, count: usize, most: usize },
    #[error("images[{place}]: {problem}")]
    Input { place: usize, problem: String },
    #[error("as many requests are under way as may be")]
    Busy(Duration),
    #[error("it took too long")]
    TooSlow,
    #[error("the body of the request did not arrive in time")]
    BodyTooSlow,
    #[error("a piece of work broke down; see the log")]
    Panicked,
    #[error(transparent)]
    Embed(#[from] EmbedError),
}

impl ClipError {
    /// Clients tell by it whether the input is to blame (400 to 422), or whether to come back (429, 5xx).
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
            Self::Embed(EmbedError::Dependency(DependencyError { trouble: Trouble::Busy { .. }, .. })) => {
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

    /// What the model's own code said stays in the log.
    fn said(&self) -> String {
        match self {
            Self::Embed(EmbedError::Dependency(down)) => format!("the model {}", down.trouble),
            other => other.to_string(),
        }
    }
}

impl IntoResponse for ClipError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = %self, "no vectors");
        }
        let body = Json(json!({"error": status.canonical_reason().unwrap_or("Error"), "message": self.said()}));
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
