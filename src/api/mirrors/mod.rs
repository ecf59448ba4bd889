//! `/mirrors` and `/events/s3`.

mod error;
mod events;
mod put;
mod reply;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::http::{ApiError, ErrorReply, Path};
use crate::mirrors::Mirrors;

pub(super) use events::EVENTS_PATH;
pub use events::EventsReply;
pub use put::MirrorRequest;
pub use reply::{EventTokenReply, MirrorReply, MirrorRunReply, MirrorsReply, RemovedMirrorReply, RunReply};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_mirrors))
        .routes(routes!(get_mirror, remove_mirror))
        .routes(routes!(pause_mirror))
        .routes(routes!(resume_mirror))
        .routes(routes!(run_mirror))
        .routes(routes!(new_event_token))
        .merge(put::routes())
        .merge(events::routes())
}

/// List the mirrors, in the order of their names. There are at most 100.
#[utoipa::path(get, path = "/mirrors", tag = "mirrors", responses((status = 200, body = MirrorsReply)))]
async fn list_mirrors(State(mirrors): State<Mirrors>) -> Result<axum::Json<MirrorsReply>, ApiError> {
    let mirrors = mirrors.list().await?.into_iter().map(MirrorReply::from).collect();
    Ok(axum::Json(MirrorsReply { mirrors }))
}

/// Return a mirror.
#[utoipa::path(get, path = "/mirrors/{name}", tag = "mirrors", params(("name" = String, Path)),
    responses((status = 200, body = MirrorReply), (status = 404, body = ErrorReply)))]
async fn get_mirror(
    State(mirrors): State<Mirrors>,
    Path(name): Path<String>,
) -> Result<axum::Json<MirrorReply>, ApiError> {
    Ok(axum::Json(mirrors.get(&name).await?.into()))
}

/// Remove a mirror. Its collection stays, and so does a run in progress.
#[utoipa::path(delete, path = "/mirrors/{name}", tag = "mirrors", params(("name" = String, Path)),
    responses((status = 200, body = RemovedMirrorReply), (status = 404, body = ErrorReply)))]
async fn remove_mirror(
    State(mirrors): State<Mirrors>,
    Path(name): Path<String>,
) -> Result<axum::Json<RemovedMirrorReply>, ApiError> {
    let name = mirrors.remove(&name).await?.to_string();
    Ok(axum::Json(RemovedMirrorReply { name, status: "removed".to_owned() }))
}

/// Pause a mirror. No run starts, and its events cause a run after it is resumed. A run in progress continues.
#[utoipa::path(post, path = "/mirrors/{name}/pause", tag = "mirrors", params(("name" = String, Path)),
    responses((status = 200, body = MirrorReply), (status = 404, body = ErrorReply)))]
async fn pause_mirror(
    State(mirrors): State<Mirrors>,
    Path(name): Path<String>,
) -> Result<axum::Json<MirrorReply>, ApiError> {
    Ok(axum::Json(mirrors.pause(&name).await?.into()))
}

/// Resume a mirror that is paused, or that the service has stopped. If a scheduled run was missed, one starts now.
#[utoipa::path(post, path = "/mirrors/{name}/resume", tag = "mirrors", params(("name" = String, Path)),
    responses((status = 200, body = MirrorReply), (status = 404, body = ErrorReply)))]
async fn resume_mirror(
    State(mirrors): State<Mirrors>,
    Path(name): Path<String>,
) -> Result<axum::Json<MirrorReply>, ApiError> {
    Ok(axum::Json(mirrors.resume(&name).await?.into()))
}

/// Start a run now, in any state of the mirror.
#[utoipa::path(post, path = "/mirrors/{name}/run", tag = "mirrors", params(("name" = String, Path)),
    responses((status = 202, body = RunReply), (status = 403, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn run_mirror(
    State(mirrors): State<Mirrors>,
    Path(name): Path<String>,
) -> Result<(StatusCode, [(HeaderName, String); 1], axum::Json<RunReply>), ApiError> {
    let job_id = mirrors.run(&name).await?.id.to_string();
    let location = [(header::LOCATION, format!("/jobs/{job_id}"))];
    Ok((StatusCode::ACCEPTED, location, axum::Json(RunReply { job_id, status: "submitted".to_owned() })))
}

/// Replace the token of a mirror's events. The previous token is refused from now on.
#[utoipa::path(post, path = "/mirrors/{name}/token", tag = "mirrors", params(("name" = String, Path)),
    responses((status = 200, body = EventTokenReply), (status = 404, body = ErrorReply)))]
async fn new_event_token(
    State(mirrors): State<Mirrors>,
    Path(name): Path<String>,
) -> Result<axum::Json<EventTokenReply>, ApiError> {
    let event_token = mirrors.new_token(&name).await?.reveal().to_owned();
    Ok(axum::Json(EventTokenReply { name, event_token }))
}
