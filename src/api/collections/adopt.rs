//! `POST /collections/{name}/adopt`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, MaybeJson, Path};
use crate::collections::Adopted;
use crate::jobs::Jobs;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(adopt_collection))
}

/// What is adopted. The body is optional.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdoptRequest {
    /// The name of a configured store: `embedded`, `qdrant` or `weaviate` [default: the first one].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The name of the collection for clients: the name in the store, or a collection with a generation of that name [default:
    /// `birds` for `birds-g2`, otherwise the name in the store].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
}

/// What was adopted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AdoptReply {
    /// The collection.
    pub collection: String,
    /// The number of its generation that was adopted, which is the current one now.
    pub generation: u32,
    /// The store.
    pub store: String,
    /// The model that the collection uses.
    pub model: String,
    /// Number of images that the ledger knows now.
    pub adopted: u64,
    /// Number of records without a version of their object; the next job reads these objects again.
    pub without_version: u64,
    /// Number of records whose id is not that of their URI. They were not made by Glimpse and are not adopted.
    pub foreign: u64,
}

impl From<Adopted> for AdoptReply {
    fn from(adopted: Adopted) -> Self {
        let Adopted { collection, generation, store, model, adopted, without_version, foreign } = adopted;
        Self {
            collection: collection.to_string(),
            generation,
            store: store.to_owned(),
            model: model.to_string(),
            adopted,
            without_version,
            foreign,
        }
    }
}

/// Adopt a collection that a store has and the ledger does not know, because the ledger was lost.
///
/// Its records are recorded as indexed images of the model of the settings, so that jobs skip what is unchanged and `sync` removes
/// what is gone. Nothing in the store is changed. The name in the path is that in the store. The name
/// of a generation that a rebuild has made, such as `birds-g2`, becomes generation 2 of `birds`. The reply is 409 if the ledger knows the collection, if the store has its first generation, too, or if the model of
/// the settings makes other vectors. This can take long for a large collection; meanwhile no job starts on it.
#[utoipa::path(post, path = "/collections/{name}/adopt", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")), request_body = Option<AdoptRequest>,
    responses((status = 200, body = AdoptReply), (status = 400, body = ErrorReply), (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply), (status = 507, body = ErrorReply)))]
async fn adopt_collection(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
    MaybeJson(AdoptRequest { store, collection }): MaybeJson<AdoptRequest>,
) -> Result<axum::Json<AdoptReply>, ApiError> {
    Ok(axum::Json(jobs.adopt(&name, store.as_deref(), collection.as_deref()).await?.into()))
}
