//! The replies for failures of dependencies.

use axum::http::StatusCode;

use super::ApiError;
use crate::domain::{DependencyError, FailureKind};

impl ApiError {
    /// The reply for a failure of a dependency, which is logged.
    pub(in crate::api) fn dependency(down: &DependencyError) -> Self {
        tracing::error!(dependency = %down.dependency, error = %down, "dependency failed");
        let (status, code) = match down.failure {
            FailureKind::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            FailureKind::Busy { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            FailureKind::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "dependency_timed_out"),
            FailureKind::Full => (StatusCode::SERVICE_UNAVAILABLE, "dependency_full"),
            FailureKind::Failed => (StatusCode::BAD_GATEWAY, "dependency_failed"),
            FailureKind::Refused => (StatusCode::BAD_GATEWAY, "dependency_refused"),
            FailureKind::Misconfigured => (StatusCode::BAD_GATEWAY, "dependency_misconfigured"),
        };
        let error = Self::new(status, code, down.for_client());
        match down.failure.retry_after() {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}
