//! The replies to errors of the search.

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::search::{RETRY_WHEN_BUSY, SearchError};

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        use crate::search::SearchErrorKind;
        let message = error.to_string();
        match error.kind() {
            SearchErrorKind::Invalid(field) => {
                let code = format!("invalid_{field}");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
            }
            SearchErrorKind::Collection => Self::invalid("collection", message),
            SearchErrorKind::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            SearchErrorKind::NotAnImage => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_format", message),
            SearchErrorKind::BadImage(class) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, class.as_str(), message),
            SearchErrorKind::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).with_retry_after(RETRY_WHEN_BUSY)
            }
            SearchErrorKind::UnknownImage => Self::new(StatusCode::NOT_FOUND, "unknown_image", message),
            SearchErrorKind::UnknownCollection => Self::new(StatusCode::NOT_FOUND, "unknown_collection", message),
            SearchErrorKind::UnknownGeneration => Self::new(StatusCode::NOT_FOUND, "unknown_generation", message),
            SearchErrorKind::Conflict(code) => Self::new(StatusCode::CONFLICT, code, message),
            SearchErrorKind::RejectedInput => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "embed_rejected", message),
            SearchErrorKind::BadProvider => {
                tracing::error!(%error, "embedding provider");
                Self::new(StatusCode::BAD_GATEWAY, "bad_provider", message)
            }
            SearchErrorKind::Dependency(down) => Self::dependency(down),
            // The statuses of the dependency, but the message names the collection, its model and what to do.
            SearchErrorKind::Model(Some(down)) => Self::dependency(down).with_message(message),
            SearchErrorKind::Model(None) => {
                tracing::error!(%error, "the model of a collection");
                Self::new(StatusCode::BAD_GATEWAY, "bad_provider", message)
            }
            SearchErrorKind::Internal => {
                tracing::error!(%error, "search failed");
                Self::internal()
            }
        }
    }
}
