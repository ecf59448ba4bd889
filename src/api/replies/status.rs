//! Bodies of `/status` and `/session`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::Defaults;
use crate::domain::Secret;
use crate::jobs::cluster::{ClusterError, ClusterVersion};
use crate::search::Status;

/// What the service is made of.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StatusReply {
    /// Of this build.
    pub version: String,
    /// `ready`; `degraded`, where a store is not there; `unavailable`, where no search can be answered; `draining`.
    pub status: String,
    /// Who makes the vectors.
    pub provider: ProviderReply,
    /// Where they are, the default first.
    pub stores: Vec<StoreReply>,
    /// The Ray cluster that places workers, if there is to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ray: Option<RayReply>,
    /// The collection that is meant where none is named.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// The bucket that is meant where none is named.
    pub bucket: String,
    /// Bytes of the largest image that is taken.
    pub max_image_bytes: usize,
}

/// Who makes the vectors.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProviderReply {
    /// Of `IMAGE_EMBEDDING_PROVIDER`.
    pub name: String,
    /// Whether it answers, as far as is known.
    pub ready: bool,
    /// Why not.
    pub message: Option<String>,
    /// Its model, once that was proven.
    pub model: Option<String>,
    /// Numbers in a vector.
    pub dimension: Option<usize>,
    /// The whole space.
    pub space: Option<String>,
}

/// One store.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StoreReply {
    /// `embedded`, `qdrant` or `weaviate`.
    pub name: String,
    /// Whether it answers.
    pub ready: bool,
    /// Why not.
    pub message: Option<String>,
    /// Collections in it.
    pub collections: Option<usize>,
    /// Images in all of them.
    pub images: Option<u64>,
}

/// The Ray cluster.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RayReply {
    /// Whether it answers and takes our token.
    pub ready: bool,
    /// Why not, or what to know of its version.
    pub message: Option<String>,
    /// Its name and version.
    pub version: Option<String>,
}

/// Whether a key is needed, and whether the browser is signed in.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionReply {
    /// Whether a key is needed at all.
    pub required: bool,
    /// Whether the request came with a session.
    pub signed_in: bool,
}

/// The key.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SessionRequest {
    /// One of `GLIMPSE_API_KEY`.
    #[schema(value_type = String)]
    pub key: Secret,
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
    pub(in crate::api) fn of(status: Status, ray: Option<RayReply>, draining: bool, defaults: &Defaults) -> Self {
        let (space, message) = match status.provider {
            Ok(space) => (Some(space), None),
            Err(said) => (None, Some(said)),
        };
        let provider = ProviderReply {
            name: defaults.provider.to_owned(),
            ready: space.is_some(),
            message,
            model: space.as_ref().map(|space| space.model.clone()),
            dimension: space.as_ref().map(|space| space.dimension),
            space: space.as_ref().map(|space| space.name()),
        };
        let stores: Vec<StoreReply> = status
            .stores
            .into_iter()
            .map(|(name, answer)| {
                let (infos, message) = match answer {
                    Ok(infos) => (Some(infos), None),
                    Err(said) => (None, Some(said)),
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
        let there = stores.iter().filter(|store| store.ready).count();
        let word = match (draining, provider.ready, there) {
            (true, ..) => "draining",
            (false, true, there) if there == stores.len() => "ready",
            (false, true, 1..) => "degraded",
            (false, ..) => "unavailable",
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            status: word.to_owned(),
            provider,
            stores,
            ray,
            collection: defaults.collection.to_string(),
            bucket: defaults.bucket.to_string(),
            max_image_bytes: defaults.max_image_bytes,
        }
    }
}
