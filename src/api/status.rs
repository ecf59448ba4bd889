//! `/status`: the parts of the service and their state, for operators and for the page.

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

/// Return the provider and its space, each store with its contents, and versions. The reply is 200 even if a dependency
/// is down.
#[utoipa::path(get, path = "/status", tag = "health", responses((status = 200, body = StatusReply)))]
async fn get_status(
    State(search): State<Search>,
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
) -> axum::Json<StatusReply> {
    let (status, cluster) = futures::join!(search.status(), jobs.cluster());
    axum::Json(StatusReply::of(status, cluster.map(RayReply::from), jobs.is_draining(), &defaults))
}
