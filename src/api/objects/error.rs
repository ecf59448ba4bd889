//! The replies to errors of uploads.

use axum::http::StatusCode;

use crate::api::http::ApiError;
use crate::domain::FailureClass;
use crate::search::RETRY_WHEN_BUSY;
use crate::uploads::UploadsError;

impl From<UploadsError> for ApiError {
    fn from(error: UploadsError) -> Self {
        let message = error.to_string();
        match error {
            UploadsError::Off => Self::new(StatusCode::FORBIDDEN, "uploads_off", message),
            UploadsError::NotAllowed { .. } => Self::new(StatusCode::FORBIDDEN, "key_not_allowed", message),
            UploadsError::ReadOnly(_) => Self::new(StatusCode::FORBIDDEN, "bucket_read_only", message),
            UploadsError::Key(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_key", message),
            UploadsError::Excluded(_) | UploadsError::Thumbnail(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key_excluded", message)
            }
            UploadsError::Extension(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "key_extension", message),
            UploadsError::Image(error) => {
                let status = match error.class() {
                    FailureClass::UnsupportedFormat => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    FailureClass::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Self::new(status, error.class().as_str(), message)
            }
            UploadsError::Panicked => Self::internal(),
            UploadsError::Exists(_) => Self::new(StatusCode::PRECONDITION_FAILED, "object_exists", message),
            UploadsError::OtherVersion { .. } => Self::new(StatusCode::PRECONDITION_FAILED, "other_version", message),
            UploadsError::Bucket(_) => Self::new(StatusCode::BAD_GATEWAY, "bucket_unusable", message),
            UploadsError::KeyRefused(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bucket_refused", message),
            UploadsError::Dependency(down) => Self::dependency(&down),
            UploadsError::BucketRefused => Self::new(StatusCode::BAD_GATEWAY, "bucket_refused", message),
            UploadsError::KeyBusy => {
                Self::new(StatusCode::CONFLICT, "key_busy", message).with_retry_after(RETRY_WHEN_BUSY)
            }
            UploadsError::Removed { .. } | UploadsError::KeptAway { .. } => {
                Self::new(StatusCode::CONFLICT, "removed_permanently", message)
            }
            UploadsError::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).with_retry_after(RETRY_WHEN_BUSY)
            }
            UploadsError::NotIndexable { failure, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, failure.class.as_str(), message)
            }
            UploadsError::Jobs(error) => error.into(),
        }
    }
}
