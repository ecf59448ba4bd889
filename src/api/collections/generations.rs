//! `/collections/{name}/generations`, `/rebuild`, `/switch` and `/rollback`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::generations_reply::{GenerationsReply, SwitchReply};
use crate::api::http::bounded_json::or_default;
use crate::api::http::whole_number::optional_whole_number;
use crate::api::http::{ApiError, ErrorReply, MaybeJson, Path};
use crate::api::images::DeletedReply;
use crate::api::jobs::{Accepted, SubmitReply, accepted_reply, parse_executor};
use crate::api::{AppState, Defaults};
use crate::collections::{RebuildRequest, SwitchRequest};
use crate::domain::{Executor, GenerationState, ModelRequest};
use crate::jobs::Jobs;
use crate::search::Search;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(rebuild_collection)).routes(routes!(roll_back_collection))
}

/// Routes without a timeout: the time depends on the size of the collection.
pub(super) fn long_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_generations))
        .routes(routes!(switch_collection))
        .routes(routes!(drop_generation))
}

/// The model of the next generation. What is left out stays as it is in the current generation; if everything is left out,
/// the model of the settings is used.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RebuildBody {
    /// The name of a configured provider: `default`, `local`, or the lower-case NAME of `CLIP_URL_<NAME>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model, as in `CLIP_MODEL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// As in `CLIP_PRECISION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// As in `IMAGE_RESIZE`: `crop` or `pad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<String>,
    /// What runs the job: `local`, `workers` or `ray`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Executor>)]
    pub executor: Option<String>,
}

/// The generation to switch to, and whether the switch is made in any case.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchBody {
    /// The number of the generation [default: the newest one that is ready].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "optional_whole_number")]
    #[schema(minimum = 1)]
    pub generation: Option<u32>,
    /// Switch also if images are missing or outdated in the new generation.
    #[serde(deserialize_with = "or_default")]
    #[schema(value_type = Option<bool>)]
    pub force: bool,
}

/// Build the next generation of a collection with another model, beside the current one.
///
/// The job reads the images of the collection again and embeds them; searches use the current generation until
/// `POST /collections/{name}/switch`. A rebuild that was stopped or has failed is continued by the same request.
#[utoipa::path(post, path = "/collections/{name}/rebuild", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")), request_body = Option<RebuildBody>,
    responses((status = 202, body = SubmitReply), (status = 400, body = ErrorReply), (status = 403, body = ErrorReply),
        (status = 404, body = ErrorReply), (status = 409, body = ErrorReply), (status = 422, body = ErrorReply),
        (status = 429, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn rebuild_collection(
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Path(name): Path<String>,
    MaybeJson(body): MaybeJson<RebuildBody>,
) -> Result<Accepted, ApiError> {
    let RebuildBody { provider, model, precision, resize, executor } = body;
    let executor = parse_executor(executor.as_deref())?;
    let request = RebuildRequest { model: ModelRequest { provider, model, precision, resize }, executor };
    let job = jobs.rebuild(&name, request).await?;
    accepted_reply(&jobs, job, &defaults).await
}

/// List the generations of a collection, and compare the one that was built, or the previous one, with the current one.
///
/// The comparison searches both for the built-in texts and for images of the collection. It is absent until the other
/// generation is complete, and is kept until a generation or the number of its images changes. It is made in the background: while
/// `comparing` is `true`, repeat the request.
#[utoipa::path(get, path = "/collections/{name}/generations", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    responses((status = 200, body = GenerationsReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
async fn list_generations(
    State(jobs): State<Jobs>,
    State(search): State<Search>,
    Path(name): Path<String>,
) -> Result<axum::Json<GenerationsReply>, ApiError> {
    let view = jobs.generations(&name).await?;
    let find = |state: GenerationState| view.generations.iter().find(|one| one.state == state);
    let other = [GenerationState::Ready, GenerationState::Previous].into_iter().find_map(find);
    // A generation that is not complete would differ by what it lacks.
    let other = other.filter(|one| one.due == 0).map(|one| one.number);
    let images = view.generations.iter().flat_map(|one| &one.stores).map(|(_, count)| count).sum();
    let comparison = match other {
        Some(other) => Some((other, search.compare(&name, [view.current, other], images).await?)),
        None => None,
    };
    Ok(axum::Json(GenerationsReply::new(view, comparison)))
}

/// Use the generation that was built, from now on. Searches in flight finish in the old one.
///
/// The old generation is kept up to date for `GLIMPSE_GENERATION_TTL` hours, so that `POST /collections/{name}/rollback` can
/// bring it back.
#[utoipa::path(post, path = "/collections/{name}/switch", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")), request_body = Option<SwitchBody>,
    responses((status = 200, body = SwitchReply), (status = 400, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn switch_collection(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
    MaybeJson(SwitchBody { generation, force }): MaybeJson<SwitchBody>,
) -> Result<axum::Json<SwitchReply>, ApiError> {
    Ok(axum::Json(jobs.switch(&name, SwitchRequest { generation, force }).await?.into()))
}

/// Use the previous generation again.
#[utoipa::path(post, path = "/collections/{name}/rollback", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    responses((status = 200, body = SwitchReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn roll_back_collection(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
) -> Result<axum::Json<SwitchReply>, ApiError> {
    Ok(axum::Json(jobs.roll_back(&name).await?.into()))
}

/// Delete a generation that is not the current one.
#[utoipa::path(delete, path = "/collections/{name}/generations/{number}", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"), ("number" = u32, Path, minimum = 1)),
    responses((status = 200, body = DeletedReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn drop_generation(
    State(jobs): State<Jobs>,
    Path((name, number)): Path<(String, String)>,
) -> Result<axum::Json<DeletedReply>, ApiError> {
    let unknown = || {
        let message = format!("the collection `{name}` has no generation `{number}`");
        ApiError::new(StatusCode::NOT_FOUND, "unknown_generation", message)
    };
    let parsed: u32 = number.parse().map_err(|_| unknown())?;
    let collection = jobs.drop_generation(&name, parsed).await?;
    Ok(axum::Json(DeletedReply { id: format!("{collection}/generations/{parsed}"), status: "deleted".to_owned() }))
}
