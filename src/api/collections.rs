//! `/collections`.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::error::{ApiError, ErrorReply};
use super::extract::{MaybeJson, Path};
use super::replies::{CollectionsReply, DeletedReply, VerifyReply, VerifyRequest};
use crate::collections::{MAX_SAMPLED, VerifyOptions};
use crate::jobs::Jobs;
use crate::search::Search;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_collections))
}

/// Routes without a timeout: the time depends on the size of the collection.
pub(super) fn long_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(drop_collection)).routes(routes!(verify_collection))
}

/// List every collection with its number of images and its space.
#[utoipa::path(get, path = "/collections", tag = "images", responses((status = 200, body = CollectionsReply)))]
async fn list_collections(State(search): State<Search>) -> Result<axum::Json<CollectionsReply>, ApiError> {
    Ok(axum::Json(CollectionsReply::of(search.collections().await?)))
}

/// Delete a collection and all its records. The objects stay in their bucket.
///
/// This can take long for a large collection. Meanwhile no job starts on it. The deletion continues if the client
/// disconnects.
#[utoipa::path(delete, path = "/collections/{name}", tag = "images", params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    responses((status = 200, body = DeletedReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn drop_collection(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
) -> Result<axum::Json<DeletedReply>, ApiError> {
    let collection = jobs.drop_collection(&name).await?;
    Ok(axum::Json(DeletedReply { id: collection.to_string(), status: "deleted".to_owned() }))
}

/// Check whether the stores and the ledger agree.
///
/// Compares every id, and the vector and the payload of a sample of the records. With `repair`, records that differ are
/// copied from a store that has them. This can take long for a large collection. Meanwhile no job starts on it.
#[utoipa::path(post, path = "/collections/{name}/verify", tag = "images", params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    request_body = Option<VerifyRequest>,
    responses((status = 200, body = VerifyReply), (status = 400, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn verify_collection(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
    MaybeJson(request): MaybeJson<VerifyRequest>,
) -> Result<axum::Json<VerifyReply>, ApiError> {
    let VerifyRequest { repair, sample } = request;
    if sample > MAX_SAMPLED {
        return Err(ApiError::invalid("sample", format!("must be 0 to {MAX_SAMPLED}, not {sample}")));
    }
    Ok(axum::Json(jobs.verify(&name, VerifyOptions { repair, sample }).await?.into()))
}
