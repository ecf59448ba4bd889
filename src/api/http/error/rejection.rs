//! The replies to requests that axum cannot read. Values were checked against the OpenAPI document before.

use axum::extract::rejection;
use axum::http::StatusCode;

use super::ApiError;

impl From<rejection::QueryRejection> for ApiError {
    fn from(rejected: rejection::QueryRejection) -> Self {
        tracing::warn!(error = %rejected.body_text(), "a query string that was checked cannot be read");
        let message = "the query string cannot be read; /docs describes the parameters of each route";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", message)
    }
}

impl From<rejection::PathRejection> for ApiError {
    fn from(_: rejection::PathRejection) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_route", "there is no route with this path; /docs lists all routes")
    }
}
