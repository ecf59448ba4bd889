//! The replies for failures of dependencies.

use axum::http::StatusCode;

use super::ApiError;
use crate::domain::{DependencyError, FailureKind};

impl ApiError {
    /// The reply for a failure of a dependency, which is logged.
    pub(in crate::api) fn dependency(down: &DependencyError) -> Self {
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
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}
