//! `/images` and `/collections`.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{ApiError, ErrorReply};
use super::extract::{Path, Query};
use super::replies::{CollectionReply, CollectionsReply, DeletedReply, ImageReply};
use super::{AppState, Defaults};
use crate::images::Images;
use crate::jobs::Jobs;
use crate::search::Search;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_image, delete_image))
        .routes(routes!(list_collections))
        .routes(routes!(drop_collection))
}

/// Where.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Where {
    /// The collection; `VECTOR_DB_COLLECTION` where it is left out.
    collection: Option<String>,
}

impl Where {
    fn or(self, defaults: &Defaults) -> String {
        self.collection.unwrap_or_else(|| defaults.collection.to_string())
    }
}

/// What is known of one indexed image.
#[utoipa::path(get, path = "/images/{id}", tag = "images", params(("id" = String, Path), Where),
    responses((status = 200, body = ImageReply), (status = 404, body = ErrorReply)))]
async fn get_image(
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(place): Query<Where>,
) -> Result<axum::Json<ImageReply>, ApiError> {
    let (collection, record) = images.get(&id, &place.or(&defaults)).await?;
    Ok(axum::Json(ImageReply::of(&collection, record)))
}

/// Remove the record of one image. The object stays in the bucket, and the next job indexes it again.
#[utoipa::path(delete, path = "/images/{id}", tag = "images", params(("id" = String, Path), Where),
    responses((status = 200, body = DeletedReply), (status = 404, body = ErrorReply)))]
async fn delete_image(
    State(images): State<Images>,
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(place): Query<Where>,
) -> Result<axum::Json<DeletedReply>, ApiError> {
    let (collection, record) = images.get(&id, &place.or(&defaults)).await?;
    // Forgotten first: a crash in between costs a new reading, not a wrong belief.
    jobs.forget(&collection, &record.uri).await?;
    images.delete(record.id, &collection).await?;
    Ok(axum::Json(DeletedReply { id: record.id.to_string(), status: "deleted".to_owned() }))
}

/// Every collection with its count and its space.
#[utoipa::path(get, path = "/collections", tag = "images", responses((status = 200, body = CollectionsReply)))]
async fn list_collections(State(search): State<Search>) -> Result<axum::Json<CollectionsReply>, ApiError> {
    let (provider, collections) = search.collections().await?;
    let collections = collections.into_iter().map(CollectionReply::from).collect();
    Ok(axum::Json(CollectionsReply { provider: provider.to_owned(), collections }))
}

/// Drop a collection and all its records. Objects stay in their bucket.
#[utoipa::path(delete, path = "/collections/{name}", tag = "images", params(("name" = String, Path)),
    responses((status = 200, body = DeletedReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply)))]
async fn drop_collection(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
) -> Result<axum::Json<DeletedReply>, ApiError> {
    let collection = jobs.drop_collection(&name).await?;
    Ok(axum::Json(DeletedReply { id: collection.to_string(), status: "deleted".to_owned() }))
}
