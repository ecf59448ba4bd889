//! The error replies of the API.
//!
//! Every error reply has the body `{"error","message","code","request_id"}`. The details of an error inside a
//! dependency are in the log, not in the body.

mod dependency;
mod rejection;

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request_id::current_request_id;

/// Maximum number of characters of a message: it may contain a long value of the client.
const MAX_MESSAGE_CHARACTERS: usize = 2_000;

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

/// An error reply. The modules that make an error choose its status and its code.
#[derive(Clone, Debug)]
pub(in crate::api) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
    retry_after: Option<Duration>,
}

/// The message of a reply to a sender without a valid key, token or signature, in the extensions of the reply, for the log.
#[derive(Clone, Debug)]
pub(in crate::api) struct UnauthorizedReason(pub(in crate::api) String);

/// The code of the reply 403 to a message that SNS has not signed.
const NOT_FROM_SNS: &str = "not_from_sns";

impl ApiError {
    /// 403 for a message that SNS has not signed.
    pub(in crate::api) fn not_from_sns(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, NOT_FROM_SNS, message)
    }

    pub(in crate::api) fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), retry_after: None }
    }

    /// Adds the header `Retry-After`.
    pub(in crate::api) fn with_retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Names the setting to change, if the error has this status.
    pub(in crate::api) fn with_setting(self, status: StatusCode, setting: &str) -> Self {
        if self.status == status { Self { message: format!("{} ({setting})", self.message), ..self } } else { self }
    }

    /// Changes the message.
    pub(in crate::api) fn with_message(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// Returns the status of the reply.
    pub(in crate::api) fn status(&self) -> StatusCode {
        self.status
    }

    /// Changes the status and the code. The message stays the same.
    pub(in crate::api) fn with_status(self, status: StatusCode, code: impl Into<String>) -> Self {
        Self { status, code: code.into(), ..self }
    }

    /// 400 for a body that cannot be read.
    pub(in crate::api) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_body", message)
    }

    /// 401 for a missing or invalid key or token.
    pub(in crate::api) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 404 for an unknown path.
    pub(in crate::api) fn no_route(path: &str) -> Self {
        let message = format!("there is no route {path}; /docs lists all routes");
        Self::new(StatusCode::NOT_FOUND, "unknown_route", message)
    }

    /// 405 for a method that the path does not have.
    pub(in crate::api) fn wrong_method(method: &str, path: &str) -> Self {
        let message = format!("{path} does not support the method {method}; /docs lists the methods of each route");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    /// 422 for a field with a value that is not allowed. The message begins with the name of the field.
    pub(in crate::api) fn invalid(field: &str, message: impl Into<String>) -> Self {
        let code = format!("invalid_{field}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, format!("{field}: {}", message.into()))
    }

    /// 500 for an internal error.
    pub(in crate::api) fn internal() -> Self {
        let message = "internal error; the log has the details under the id of this request";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The error for a status that axum or another library has chosen without a body of this API.
    pub(super) fn from_status(status: StatusCode) -> Self {
        let text = status.canonical_reason().unwrap_or("error");
        Self::new(status, text.to_lowercase().replace([' ', '-'], "_"), text)
    }

    /// Returns the body of the reply to the current request.
    pub(in crate::api) fn into_body(self) -> ErrorReply {
        let error = self.status.canonical_reason().unwrap_or("Error").to_owned();
        let message = match self.message.char_indices().nth(MAX_MESSAGE_CHARACTERS) {
            Some((end, _)) => format!("{}…", &self.message[..end]),
            None => self.message,
        };
        ErrorReply { error, message, code: self.code, request_id: current_request_id() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let body = self.into_body();
        let is_forged = body.code == NOT_FROM_SNS;
        let reason = UnauthorizedReason(body.message.clone());
        let mut response = (status, axum::Json(body)).into_response();
        if let Some(wait) = retry_after {
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            if let Ok(value) = HeaderValue::from_str(&format!("{seconds:.0}")) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::UNAUTHORIZED || is_forged {
            response.extensions_mut().insert(reason);
        }
        response
    }
}
