//! `/status`: the parts of the service and their state, for operators and for the page.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{AppState, Defaults};
use crate::health::{Health, Status};
use crate::jobs::placing::cluster::{ClusterError, ClusterVersion};
use crate::uploads::Uploads;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_status))
}

/// The parts of the service and their state.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StatusReply {
    /// The version of the service.
    pub version: String,
    /// `ready`; `degraded` if a store does not answer; `unavailable` if no search can be answered; `draining` while the
    /// service stops.
    pub status: String,
    /// The embedding provider.
    pub provider: ProviderReply,
    /// The stores, the default store first.
    pub stores: Vec<StoreReply>,
    /// The Ray cluster that runs workers, if one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ray: Option<RayReply>,
    /// A disk with little space, keys of the identity provider that cannot be read, and collections that use another model than
    /// that of the settings, each with what to change.
    #[serde(default)]
    #[schema(required = true)]
    pub notes: Vec<String>,
    /// The default collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The default bucket.
    pub bucket: String,
    /// Maximum size of an image in bytes.
    pub max_image_bytes: usize,
    /// The key prefixes that clients may store objects under (`GLIMPSE_UPLOADS`): an empty one for every key, none if
    /// uploads are off.
    #[serde(default)]
    #[schema(required = true)]
    pub uploads: Vec<String>,
}

/// The embedding provider.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProviderReply {
    /// The name of the provider (`IMAGE_EMBEDDING_PROVIDER`).
    pub name: String,
    /// Whether the provider answers, according to the last check.
    pub ready: bool,
    /// Why it does not answer.
    pub message: Option<String>,
    /// The model, once it is verified.
    pub model: Option<String>,
    /// Dimension of a vector.
    pub dimension: Option<usize>,
    /// The name of the vector space.
    pub space: Option<String>,
    /// The engine that runs the model, if it runs in this process: `rten` or `onnxruntime` (`CLIP_ENGINE`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The device of the engine, such as `cpu` or `cuda:0` (`CLIP_DEVICE`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// One store.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StoreReply {
    /// The name of the store: `embedded`, `qdrant` or `weaviate`.
    pub name: String,
    /// Whether the store answers.
    pub ready: bool,
    /// Why it does not answer.
    pub message: Option<String>,
    /// Number of collections.
    pub collections: Option<usize>,
    /// Number of images in all collections.
    pub images: Option<u64>,
}

/// The Ray cluster.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RayReply {
    /// Whether the cluster answers and accepts the token of the service.
    pub ready: bool,
    /// Why it does not, or a warning about its version.
    pub message: Option<String>,
    /// Name and version of the cluster.
    pub version: Option<String>,
}

impl From<Result<ClusterVersion, ClusterError>> for RayReply {
    fn from(answer: Result<ClusterVersion, ClusterError>) -> Self {
        match answer {
            Ok(ClusterVersion { name, warning }) => Self { ready: true, message: warning, version: Some(name) },
            Err(error) => Self { ready: false, message: Some(error.to_string()), version: None },
        }
    }
}

impl StatusReply {
    fn new(status: Status, defaults: &Defaults, uploads: &Uploads) -> Self {
        let (space, message) = match status.provider {
            Ok(space) => (Some(space), None),
            Err(error) => (None, Some(error)),
        };
        let provider = ProviderReply {
            name: defaults.provider.to_owned(),
            ready: space.is_some(),
            message,
            model: space.as_ref().map(|space| space.model.clone()),
            dimension: space.as_ref().map(|space| space.dimension),
            space: space.as_ref().map(|space| space.name()),
            engine: status.engine.as_ref().map(|engine| engine.name.to_owned()),
            device: status.engine.map(|engine| engine.device),
        };
        let stores: Vec<StoreReply> = status
            .stores
            .into_iter()
            .map(|(name, answer)| {
                let (infos, message) = match answer {
                    Ok(infos) => (Some(infos), None),
                    Err(error) => (None, Some(error)),
                };
                StoreReply {
                    name: name.to_owned(),
                    ready: infos.is_some(),
                    message,
                    collections: infos.as_ref().map(Vec::len),
                    images: infos.map(|infos| infos.iter().map(|info| info.count).sum()),
                }
            })
            .collect();
        let answering = stores.iter().filter(|store| store.ready).count();
        let state = match (status.is_draining, provider.ready, answering) {
            (true, ..) => "draining",
            (false, true, answering) if answering == stores.len() => "ready",
            (false, true, 1..) => "degraded",
            (false, ..) => "unavailable",
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            status: state.to_owned(),
            provider,
            stores,
            ray: status.cluster.map(RayReply::from),
            notes: status.notes,
            collection: defaults.collection.to_string(),
            bucket: defaults.bucket.to_string(),
            max_image_bytes: defaults.max_image_bytes,
            uploads: uploads.allowed().prefixes().to_vec(),
        }
    }
}

/// Return the provider and its space, each store with its contents, and versions. The reply is 200 even if a dependency
/// is down.
#[utoipa::path(get, path = "/status", tag = "health", responses((status = 200, body = StatusReply)))]
async fn get_status(
    State(health): State<Health>,
    State(defaults): State<Defaults>,
    State(uploads): State<Uploads>,
) -> axum::Json<StatusReply> {
    axum::Json(StatusReply::new(health.status().await, &defaults, &uploads))
}
