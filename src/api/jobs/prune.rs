//! `/jobs/prune`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::whole_number::whole_number;
use crate::api::http::{ApiError, ErrorReply, Json};
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(prune_jobs))
}

/// Which finished jobs to delete.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneRequest {
    /// Number of finished jobs to keep, newest first; 0 deletes all of them.
    #[serde(deserialize_with = "whole_number")]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub keep: u64,
}

/// Finished jobs that were deleted, with their logs and failures.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct PruneReply {
    /// Number of deleted jobs.
    pub removed: u64,
}

/// Delete finished jobs with their logs and failures. Images that they indexed stay in the index.
#[utoipa::path(post, path = "/jobs/prune", tag = "jobs", request_body = PruneRequest,
    responses((status = 200, body = PruneReply), (status = 400, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn prune_jobs(
    State(jobs): State<Jobs>,
    Json(request): Json<PruneRequest>,
) -> Result<axum::Json<PruneReply>, ApiError> {
    Ok(axum::Json(PruneReply { removed: jobs.prune(request.keep).await? }))
}
