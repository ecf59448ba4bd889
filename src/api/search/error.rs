//! The replies to errors of the search.

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::search::{RETRY_WHEN_BUSY, SearchError};

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
            Refusal::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).with_retry_after(RETRY_WHEN_BUSY)
            }
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
