//! `GET /collections/{name}`.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionReply;
use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Path};
use crate::browse::{Browse, CollectionDetails};
use crate::collections::RecallReports;
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_collection))
}

/// One collection, with what its images have together. The numbers are those of the first store that has the collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionDetailsReply {
    /// The collection as in the list of collections.
    #[serde(flatten)]
    pub collection: CollectionReply,
    /// Size of all objects in bytes; `null` if the store cannot add them up.
    pub total_bytes: Option<u64>,
    /// Number of images of each format.
    pub formats: BTreeMap<String, u64>,
    /// When the first image was indexed, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub oldest_indexed_at: Option<String>,
    /// When the last image was indexed, in RFC 3339 format.
    #[schema(format = DateTime)]
    pub newest_indexed_at: Option<String>,
    /// The metadata keys of a random sample of 200 images, the most frequent first, at most 20.
    pub meta_keys: Vec<String>,
    /// Stores that do not have the collection or did not answer, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl CollectionDetailsReply {
    fn new(details: CollectionDetails, jobs: &Jobs, recall: &RecallReports) -> Self {
        let CollectionDetails { info, stores, summary, formats, meta_keys, warnings } = details;
        Self {
            collection: CollectionReply::new(info, stores, jobs, recall),
            total_bytes: summary.total_bytes,
            formats: formats.into_iter().collect(),
            oldest_indexed_at: summary.oldest.map(|moment| moment.to_string()),
            newest_indexed_at: summary.newest.map(|moment| moment.to_string()),
            meta_keys,
            warnings,
        }
    }
}

/// Return one collection: its number of images, its space, sizes, formats and time range.
#[utoipa::path(get, path = "/collections/{name}", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    responses((status = 200, body = CollectionDetailsReply), (status = 404, body = ErrorReply)))]
async fn get_collection(
    State(browse): State<Browse>,
    State(jobs): State<Jobs>,
    State(recall): State<RecallReports>,
    Path(name): Path<String>,
) -> Result<axum::Json<CollectionDetailsReply>, ApiError> {
    Ok(axum::Json(CollectionDetailsReply::new(browse.collection(&name).await?, &jobs, &recall)))
}
