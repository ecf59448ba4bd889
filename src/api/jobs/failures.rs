//! `/jobs/{id}/failures`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Path, Query};
use crate::domain::{FailureClass, ItemFailure};
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_job_failures))
}

/// The query parameters of the list of failures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FailureParams {
    /// Number of failures, 1 to 1,000.
    #[serde(default = "default_limit")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: u32,
    /// `next` of the previous page.
    #[serde(default)]
    #[param(minimum = 0)]
    after: i64,
}

fn default_limit() -> u32 {
    100
}

/// Images that could not be indexed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailuresReply {
    /// The failures, in the order in which they happened.
    pub failures: Vec<FailureReply>,
    /// Number of failures of the whole job.
    pub total: u64,
    /// The value of `after` for the next page; `null` on the last page.
    pub next: Option<i64>,
}

/// One image that could not be indexed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailureReply {
    /// The key of the image.
    pub s3_key: String,
    /// The failure class: `truncated`, `unsupported_format`…
    #[schema(value_type = FailureClass)]
    pub class: String,
    /// Why the image could not be indexed.
    pub message: String,
    /// Number of attempts.
    pub attempts: u32,
}

impl From<ItemFailure> for FailureReply {
    fn from(failure: ItemFailure) -> Self {
        Self {
            s3_key: failure.uri.key().to_owned(),
            class: failure.class.as_str().to_owned(),
            message: failure.message,
            attempts: failure.attempts,
        }
    }
}

/// List the images that could not be indexed, and why.
#[utoipa::path(get, path = "/jobs/{id}/failures", tag = "jobs", params(("id" = String, Path, format = Uuid), FailureParams),
    responses((status = 200, body = FailuresReply), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn get_job_failures(
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
    Query(params): Query<FailureParams>,
) -> Result<axum::Json<FailuresReply>, ApiError> {
    let page = jobs.failures(&id, params.after, params.limit).await?;
    let failures = page.failures.into_iter().map(FailureReply::from).collect();
    Ok(axum::Json(FailuresReply { failures, total: page.total, next: page.next }))
}
