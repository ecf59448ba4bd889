//! The error replies of the CLIP service.

use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::domain::{DependencyError, FailureKind, UnknownLanguage};
use crate::embed::EmbedError;

/// `Retry-After` if the error does not say a time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request gets no vectors.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClipError {
    #[error(
        "there is no route {0}; the routes are POST /embedding/image, POST /embedding/text, POST /v1/embeddings, \
         GET /v1/models, GET /v1/models/{{id}}, GET /, GET /healthz and GET /readyz"
    )]
    NoRoute(String),
    #[error("{1} does not support the method {0}")]
    WrongMethod(String, String),
    #[error("the body is not the JSON that this route expects: {0}")]
    Body(#[source] serde_json::Error),
    #[error("the request cannot be read (status {0})")]
    Unreadable(StatusCode),
    #[error("the body must be a JSON object, not {0}")]
    NoObject(&'static str),
    #[error(
        "the body is too large: it must have at most {max_bytes} bytes, for one image of IMAGE_MAX_SIZE_MB in base64 or \
         several smaller ones"
    )]
    TooLarge { max_bytes: usize },
    #[error("lang: {0}")]
    Language(#[from] UnknownLanguage),
    #[error("{field}: {count} items in one request; at most {max} are allowed")]
    TooMany { field: &'static str, count: usize, max: usize },
    #[error("{field}[{index}]: {problem}")]
    Input { field: &'static str, index: usize, problem: String },
    #[error("{field}: {problem}")]
    Field { field: &'static str, problem: String },
    #[error("this service does not have the model `{requested}`; it has `{served}`")]
    UnknownModel { requested: String, served: String },
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

/// What an error reply says, in the extensions of the reply, for the API of OpenAI.
#[derive(Clone, Debug)]
pub(super) struct ErrorDetails {
    pub(super) message: String,
    pub(super) field: Option<&'static str>,
    pub(super) code: Option<&'static str>,
}

impl ClipError {
    /// 400 to 422: the input is wrong. 429 and 5xx: the client may try again.
    fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute(_) | Self::UnknownModel { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod(..) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(_) | Self::NoObject(_) | Self::Field { .. } => StatusCode::BAD_REQUEST,
            Self::Unreadable(status) => *status,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. }
            | Self::Input { .. }
            | Self::Language(_)
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

    /// The field of the body that is wrong.
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::TooMany { field, .. } | Self::Input { field, .. } | Self::Field { field, .. } => Some(*field),
            Self::UnknownModel { .. } => Some("model"),
            Self::Language(_) => Some("lang"),
            _ => None,
        }
    }

    /// A stable code for programs, if OpenAI has one.
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::UnknownModel { .. } => Some("model_not_found"),
            Self::Busy(_) => Some("rate_limit_exceeded"),
            _ => None,
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
        let details = ErrorDetails { message: self.client_message(), field: self.field(), code: self.code() };
        let body = Json(json!({"error": status.canonical_reason().unwrap_or("Error"), "message": details.message}));
        let mut response = match (self, status) {
            (Self::Busy(wait), _) => {
                (status, [(header::RETRY_AFTER, wait.as_secs().to_string())], body).into_response()
            }
            (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
                (status, [(header::RETRY_AFTER, RETRY_AFTER.as_secs().to_string())], body).into_response()
            }
            _ => (status, body).into_response(),
        };
        response.extensions_mut().insert(details);
        response
    }
}
