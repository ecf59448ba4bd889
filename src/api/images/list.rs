//! `GET /images`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ImageReply;
use crate::api::BasePath;
use crate::api::filter::{FilterParams, FilterRequest};
use crate::api::http::parameters::Pairs;
use crate::api::http::{ApiError, ErrorReply, Query};
use crate::api::{AppState, Defaults};
use crate::browse::{Browse, BrowseTarget, ImagePage, PageOptions};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_images))
}

/// The query parameters of a list of images, without those of its filter.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ImagesParams {
    /// The collection; `VECTOR_DB_COLLECTION` by default.
    #[param(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    collection: Option<String>,
    /// The store, or `all`; the first configured store by default.
    provider: Option<String>,
    /// `newest` (by `indexed_at`), `taken` (by `taken_at`, the latest first, and after them the images without it), `key` (by
    /// `s3_key`) or `random`. By default that of the cursor, or `newest`.
    #[param(inline, value_type = Option<ImageOrder>)]
    order: Option<String>,
    /// Number of images, 1 to 100.
    #[serde(default = "default_limit")]
    #[param(default = 50, minimum = 1, maximum = 100)]
    limit: usize,
    /// `next_cursor` of the page before, with the same collection, store and filter.
    cursor: Option<String>,
}

/// The order of a list of images.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the values to readers of the API")]
enum ImageOrder {
    Newest,
    Taken,
    Key,
    Random,
}

fn default_limit() -> usize {
    50
}

/// A page of images.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImagesReply {
    /// The images.
    pub images: Vec<ImageReply>,
    /// Number of images in this reply.
    pub count: usize,
    /// `cursor` of the next page; `null` after the last page.
    pub next_cursor: Option<String>,
    /// Stores whose images are missing, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl ImagesReply {
    fn new(base: &BasePath, ImagePage { collection, images, next_cursor, warnings }: ImagePage) -> Self {
        let images: Vec<_> =
            images.into_iter().map(|image| ImageReply::new(base, &collection, image.id, image.payload)).collect();
        Self { count: images.len(), images, next_cursor, warnings }
    }
}

/// List the images of a collection, page by page.
///
/// The pages together have each image that does not change once, also if others are added or removed in the meantime. The first page of
/// `order=random` is another one in each request; its cursor continues the same sequence.
#[utoipa::path(get, path = "/images", tag = "images", params(ImagesParams, FilterParams),
    responses((status = 200, body = ImagesReply), (status = 404, body = ErrorReply), (status = 422, body = ErrorReply)))]
async fn list_images(
    State(browse): State<Browse>,
    State(defaults): State<Defaults>,
    Query(params): Query<ImagesParams>,
    Query(pairs): Query<Pairs>,
) -> Result<axum::Json<ImagesReply>, ApiError> {
    let ImagesParams { collection, provider, order, limit, cursor } = params;
    let target = BrowseTarget {
        collection: collection.unwrap_or_else(|| defaults.collection.to_string()),
        provider,
        filter: FilterRequest::from_pairs(&pairs)?.into_filter()?,
    };
    let page = browse.images(target, &PageOptions { order, cursor, limit }).await?;
    Ok(axum::Json(ImagesReply::new(&defaults.base_path, page)))
}
