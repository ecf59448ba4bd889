//! The replies to errors of thumbnails and originals.

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::domain::FailureClass;
use crate::images::ImagesError;
use crate::search::{RETRY_WHEN_BUSY, SearchError};

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
            ImagesError::Unreadable { class, .. } => {
                let status = match class {
                    FailureClass::FetchFailed => StatusCode::BAD_GATEWAY,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Self::new(status, class.as_str(), message)
            }
            ImagesError::Refused => Self::new(StatusCode::BAD_GATEWAY, "bucket_refused", message),
            ImagesError::Dependency(down) => Self::dependency(&down),
            ImagesError::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).with_retry_after(RETRY_WHEN_BUSY)
            }
            ImagesError::Panicked => Self::internal(),
            ImagesError::Index(error) => SearchError::Index(error).into(),
        }
    }
}
