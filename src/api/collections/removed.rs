//! `/collections/{name}/removed-images`.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Path, Query};
use crate::collections::RemovalError;
use crate::jobs::Jobs;
use crate::ledger::{Tombstone, TombstonePage};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_removed_images)).routes(routes!(restore_image))
}

/// The query parameters of the list of removed images.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RemovedParams {
    /// Number of images, 1 to 1,000.
    #[serde(default = "default_limit")]
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: u32,
    /// `next` of the previous page.
    #[param(minimum = 0)]
    after: Option<i64>,
}

fn default_limit() -> u32 {
    100
}

/// Images that were removed permanently from a collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RemovedImagesReply {
    /// The images, the last removal first.
    pub removed_images: Vec<RemovedImageReply>,
    /// Number of all images of the collection that were removed permanently.
    pub total: u64,
    /// The value of `after` for the next page; `null` on the last page.
    pub next: Option<i64>,
}

/// An image that was removed permanently.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RemovedImageReply {
    /// The id of the image.
    #[schema(format = Uuid)]
    pub id: String,
    /// The key of the object.
    pub s3_key: String,
    /// The URI of the object: `s3://bucket/key`.
    pub s3_uri: String,
    /// When the image was removed, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub removed_at: String,
    /// Whether a store may still have the record, because it does not answer.
    pub pending: bool,
}

/// An image that was restored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RestoredReply {
    /// The id of the image.
    #[schema(format = Uuid)]
    pub id: String,
    /// `restored`
    pub status: String,
}

impl From<Tombstone> for RemovedImageReply {
    fn from(Tombstone { number: _, uri, removed_at, is_pending }: Tombstone) -> Self {
        Self {
            id: uri.id().to_string(),
            s3_key: uri.key().to_owned(),
            s3_uri: uri.to_string(),
            removed_at: removed_at.to_string(),
            pending: is_pending,
        }
    }
}

impl From<TombstonePage> for RemovedImagesReply {
    fn from(TombstonePage { tombstones, total, next }: TombstonePage) -> Self {
        Self { removed_images: tombstones.into_iter().map(RemovedImageReply::from).collect(), total, next }
    }
}

/// List the images that were removed permanently from a collection, the last removal first.
///
/// A collection that does not exist has none. There are at most 100,000 in each collection.
#[utoipa::path(get, path = "/collections/{name}/removed-images", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"), RemovedParams),
    responses((status = 200, body = RemovedImagesReply), (status = 422, body = ErrorReply)))]
async fn list_removed_images(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
    Query(RemovedParams { limit, after }): Query<RemovedParams>,
) -> Result<axum::Json<RemovedImagesReply>, ApiError> {
    Ok(axum::Json(jobs.removed_images(&name, after, limit).await?.into()))
}

/// Restore an image that was removed permanently: the next job that lists its object indexes it, or an event of the bucket.
#[utoipa::path(delete, path = "/collections/{name}/removed-images/{id}", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"), ("id" = String, Path, format = Uuid)),
    responses((status = 200, body = RestoredReply), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn restore_image(
    State(jobs): State<Jobs>,
    Path((name, id)): Path<(String, String)>,
) -> Result<axum::Json<RestoredReply>, ApiError> {
    let id = jobs.restore_image(&id, &name).await?.to_string();
    Ok(axum::Json(RestoredReply { id, status: "restored".to_owned() }))
}

impl From<RemovalError> for ApiError {
    fn from(error: RemovalError) -> Self {
        let message = error.to_string();
        match error {
            RemovalError::UnknownImage { .. } => Self::new(StatusCode::NOT_FOUND, "unknown_image", message),
            RemovalError::NotRemoved { .. } => Self::new(StatusCode::NOT_FOUND, "not_removed", message),
            RemovalError::TooMany(_) => Self::new(StatusCode::CONFLICT, "too_many_removed_images", message),
            RemovalError::Jobs(error) => error.into(),
        }
    }
}
