//! `/jobs/{id}/throughput`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Path};
use crate::jobs::{Jobs, Throughput};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_job_throughput))
}

/// The images that a job has processed, over time.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ThroughputReply {
    /// The length of an interval, in seconds: 1, 2, 4 and so on, so that there are at most 240 intervals.
    pub interval_seconds: u64,
    /// How long the job has run, in seconds, since it started or since the service was restarted. The last interval can
    /// be incomplete.
    pub duration_seconds: f64,
    /// Number of images that were indexed or failed in each interval. Empty if the job has not started.
    #[schema(max_items = 240)]
    pub images: Vec<u64>,
}

impl From<Throughput> for ThroughputReply {
    fn from(throughput: Throughput) -> Self {
        let Throughput { interval_seconds, duration_seconds, images } = throughput;
        Self { interval_seconds, duration_seconds, images }
    }
}

/// Return how many images a job has processed over time.
#[utoipa::path(get, path = "/jobs/{id}/throughput", tag = "jobs", params(("id" = String, Path, format = Uuid)),
    responses((status = 200, body = ThroughputReply), (status = 404, body = ErrorReply)))]
async fn get_job_throughput(
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
) -> Result<axum::Json<ThroughputReply>, ApiError> {
    let view = jobs.get(&id).await?;
    let throughput = view.rates.and_then(|rates| rates.throughput).unwrap_or_default();
    Ok(axum::Json(throughput.into()))
}
