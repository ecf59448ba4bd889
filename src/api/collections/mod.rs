//! `/collections`.

mod adopt;
mod calibration;
mod details;
mod duplicates;
mod export;
mod facets;
mod generations;
mod generations_reply;
mod import;
mod recall;
mod removed;
mod verify;

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AppState;
use super::http::{ApiError, ErrorReply, Path};
use super::images::DeletedReply;
use crate::collections::{Collections, RecallReports};
use crate::domain::{CollectionInfo, ModelRecord};
use crate::jobs::Jobs;

pub use adopt::{AdoptReply, AdoptRequest};
pub use calibration::{CalibrationReply, CalibrationRequest, FitReply, LabelledQueryRequest};
pub use details::CollectionDetailsReply;
pub use duplicates::{DuplicateImageReply, DuplicatesReply};
pub use export::{ExportEnd, ExportHeader, ExportLine, ExportedImage};
pub use facets::{FacetValueReply, FacetsReply};
pub use generations::{RebuildBody, SwitchBody};
pub use generations_reply::{
    ComparisonReply, GenerationReply, GenerationsReply, MissingImageReply, ResultsReply, SwitchReply,
};
pub use import::{ImportFailureReply, ImportImageRequest, ImportReply, ImportRequest};
pub use recall::{RecallReply, RecallSampleReply};
pub use removed::{RemovedImageReply, RemovedImagesReply, RestoredReply};
pub use verify::{DifferenceReply, VerifyReply, VerifyRequest};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_collections))
        .merge(details::routes())
        .merge(facets::routes())
        .merge(calibration::routes())
        .merge(removed::routes())
        .merge(generations::routes())
}

/// Routes without a timeout: the time depends on the size of the collection.
pub(super) fn long_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(drop_collection))
        .merge(verify::routes())
        .merge(duplicates::routes())
        .merge(export::routes())
        .merge(import::routes())
        .merge(adopt::routes())
        .merge(calibration::long_routes())
        .merge(generations::long_routes())
}

/// All collections.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionsReply {
    /// The store that was searched, or `all`.
    pub provider: String,
    /// The collections, sorted by name.
    pub collections: Vec<CollectionReply>,
    /// Stores that did not answer, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CollectionReply {
    /// The name of the collection.
    pub name: String,
    /// Number of images in the first store that has the collection.
    pub count: u64,
    /// Number of images in each store.
    pub stores: BTreeMap<String, u64>,
    /// The model of the vectors.
    pub model: String,
    /// How this service makes the vectors of the collection. `null` if the collection was made by an earlier version with
    /// another model than that of the settings.
    pub embedding_model: Option<EmbeddingModelReply>,
    /// Dimension of a vector.
    pub dimension: usize,
    /// The name of the vector space.
    pub space: String,
    /// For each store that was tested: how many of the best ten results searches find. A collection of fewer than 2,000 images
    /// is not tested.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recall_at_10: BTreeMap<String, RecallReply>,
}

/// How the vectors of a collection are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmbeddingModelReply {
    /// The name of the provider: `default` for the settings without a name, otherwise the lower-case NAME of `CLIP_URL_<NAME>`.
    pub provider: String,
    /// `local`, `clip`, `openai`, `multi2vec` or `ollama`.
    pub kind: String,
    /// As in `CLIP_MODEL`.
    pub model: String,
    /// As in `CLIP_PRECISION`.
    pub precision: String,
    /// As in `IMAGE_RESIZE`.
    pub resize: String,
    /// Whether it is the model of the settings, which new collections use.
    pub is_default: bool,
}

impl EmbeddingModelReply {
    fn new(record: ModelRecord, is_default: bool) -> Self {
        let ModelRecord { provider, kind, model, precision, resize, .. } = record;
        Self { provider, kind, model, precision, resize, is_default }
    }
}

impl CollectionsReply {
    fn new(all: Collections, jobs: &Jobs, recall: &RecallReports) -> Self {
        let reply = |(info, stores)| CollectionReply::new(info, stores, jobs, recall);
        let collections = all.collections.into_iter().map(reply);
        Self { provider: all.provider.to_owned(), collections: collections.collect(), warnings: all.warnings }
    }
}

impl CollectionReply {
    fn new(info: CollectionInfo, stores: Vec<(&'static str, u64)>, jobs: &Jobs, recall: &RecallReports) -> Self {
        let model = jobs.model_record(&info.name);
        let recall =
            recall.get(&jobs.physical_name(&info.name)).into_iter().map(|(store, report)| (store, report.into()));
        Self {
            recall_at_10: recall.collect(),
            name: info.name.to_string(),
            count: info.count,
            stores: stores.into_iter().map(|(store, count)| (store.to_owned(), count)).collect(),
            space: info.space.name(),
            embedding_model: model.map(|(record, is_default)| EmbeddingModelReply::new(record, is_default)),
            model: info.space.model,
            dimension: info.space.dimension,
        }
    }
}

/// List every collection with its number of images and its space.
#[utoipa::path(get, path = "/collections", tag = "collections", responses((status = 200, body = CollectionsReply)))]
async fn list_collections(
    State(jobs): State<Jobs>,
    State(recall): State<RecallReports>,
) -> Result<axum::Json<CollectionsReply>, ApiError> {
    Ok(axum::Json(CollectionsReply::new(jobs.collections().await?, &jobs, &recall)))
}

/// Delete a collection and all its records. The objects stay in their bucket.
///
/// This can take long for a large collection. Meanwhile no job starts on it. The deletion continues if the client
/// disconnects.
#[utoipa::path(delete, path = "/collections/{name}", tag = "collections", params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")),
    responses((status = 200, body = DeletedReply), (status = 404, body = ErrorReply), (status = 409, body = ErrorReply),
        (status = 503, body = ErrorReply)))]
async fn drop_collection(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
) -> Result<axum::Json<DeletedReply>, ApiError> {
    let collection = jobs.drop_collection(&name).await?;
    Ok(axum::Json(DeletedReply { id: collection.to_string(), status: "deleted".to_owned() }))
}
