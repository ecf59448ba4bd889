//! `/status`: what the service is made of, for whoever runs it and for the page.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::replies::{RayReply, StatusReply};
use super::{AppState, Defaults};
use crate::jobs::Jobs;
use crate::search::Search;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_status))
}

/// The provider and its space, each store with what it has, versions. Answers whatever is down.
#[utoipa::path(get, path = "/status", tag = "health", responses((status = 200, body = StatusReply)))]
async fn get_status(
    State(search): State<Search>,
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
) -> axum::Json<StatusReply> {
    let (status, cluster) = futures::join!(search.status(), jobs.cluster());
    axum::Json(StatusReply::of(status, cluster.map(RayReply::from), jobs.is_draining(), &defaults))
}
