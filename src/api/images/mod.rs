//! `/images`.

mod error;
mod list;
mod original;
mod reply;
mod thumbnail;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::http::{ApiError, ErrorReply, Path, Query};
use super::{AppState, Defaults};
use crate::images::Images;
use crate::jobs::Jobs;

pub use list::ImagesReply;
pub(super) use reply::image_path;
pub use reply::{DeletedReply, ImageReply, ImageSummary};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get_image, delete_image))
        .merge(list::routes())
        .merge(thumbnail::routes())
        .merge(original::routes())
}

/// The query parameter of the routes of one image.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CollectionParam {
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[param(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    collection: Option<String>,
}

impl CollectionParam {
    fn or_default(self, defaults: &Defaults) -> String {
        self.collection.unwrap_or_else(|| defaults.collection.to_string())
    }
}

/// Return the record of one indexed image.
#[utoipa::path(get, path = "/images/{id}", tag = "images", params(("id" = String, Path, format = Uuid), CollectionParam),
    responses((status = 200, body = ImageReply), (status = 404, body = ErrorReply)))]
async fn get_image(
    State(images): State<Images>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(params): Query<CollectionParam>,
) -> Result<axum::Json<ImageReply>, ApiError> {
    let (collection, record) = images.get(&id, &params.or_default(&defaults)).await?;
    Ok(axum::Json(ImageReply::new(&defaults.base_path, &collection, record.id, record.payload)))
}

/// The query parameters of the removal of an image.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeleteParams {
    /// Whether the image stays away: it is not indexed again until it is restored, also if its object changes.
    #[serde(default)]
    #[param(default = false)]
    permanently: bool,
}

/// Remove the record of one image. The object stays in the bucket, and the next job indexes it again, unless it is removed
/// `permanently`.
///
/// After a 503 of a store or of a full disk, the image may still be found: repeat the request.
///
/// An image that is removed permanently is in `/collections/{name}/removed-images`, where it can be restored. If the reply is
/// 503 because a store does not answer, the record is removed when it does.
#[utoipa::path(delete, path = "/images/{id}", tag = "images",
    params(("id" = String, Path, format = Uuid), CollectionParam, DeleteParams),
    responses((status = 200, body = DeletedReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn delete_image(
    State(images): State<Images>,
    State(jobs): State<Jobs>,
    State(defaults): State<Defaults>,
    Path(id): Path<String>,
    Query(params): Query<CollectionParam>,
    Query(DeleteParams { permanently }): Query<DeleteParams>,
) -> Result<axum::Json<DeletedReply>, ApiError> {
    if permanently {
        let id = jobs.remove_permanently(&id, &params.or_default(&defaults)).await?.to_string();
        return Ok(axum::Json(DeletedReply { id, status: "deleted".to_owned() }));
    }
    let (collection, record) = images.get(&id, &params.or_default(&defaults)).await?;
    // The ledger first: after a crash in between, the image is read again. The other order would leave a wrong ledger
    // entry.
    jobs.forget(&collection, &record.uri).await?;
    images.delete(record.id, &collection).await?;
    Ok(axum::Json(DeletedReply { id: record.id.to_string(), status: "deleted".to_owned() }))
}
