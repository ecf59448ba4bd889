//! The replies to errors of lists and counts.

use axum::http::StatusCode;

use super::http::ApiError;
use crate::browse::BrowseError;
use crate::search::{RETRY_WHEN_BUSY, SearchError};

impl From<BrowseError> for ApiError {
    fn from(error: BrowseError) -> Self {
        match error {
            BrowseError::Invalid { field, message } => Self::invalid(field, message),
            BrowseError::Collection(error) => Self::invalid("collection", error.to_string()),
            BrowseError::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", error.to_string()).with_retry_after(RETRY_WHEN_BUSY)
            }
            BrowseError::Index(error) => SearchError::Index(error).into(),
        }
    }
}
