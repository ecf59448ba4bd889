//! The token of a job, with which its workers authenticate.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;

use super::presented::bearer_token;
use crate::api::AppState;
use crate::api::http::ApiError;
use crate::jobs::{Jobs, WorkerJob};

/// Extracts the job of the path, if the request has its token. The token is checked before the body is read.
pub(in crate::api) struct AuthorizedJob(pub(in crate::api) WorkerJob);

impl FromRequestParts<AppState> for AuthorizedJob {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let State(jobs) = State::<Jobs>::from_request_parts(parts, state).await.unwrap_or_else(|never| match never {});
        let id = parts.uri.path().trim_start_matches("/internal/jobs/").split('/').next().unwrap_or_default();
        Ok(Self(jobs.admit(id, bearer_token(&parts.headers)).await?))
    }
}
