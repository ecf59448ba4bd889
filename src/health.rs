//! The state of the service and of its dependencies, for `/readyz` and `/status`.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{CollectionInfo, Space};
use crate::embed::{EmbedError, EngineInfo, ImageEmbeddingProvider};
use crate::index::several_stores::StoreStatuses;
use crate::index::{IndexError, Stores};
use crate::jobs::Jobs;
use crate::jobs::placing::cluster::{ClusterError, ClusterVersion};
use crate::jwt::Tokens;

/// How long the status waits for the provider and for each store.
const STATUS_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of collections that the notes name.
const MAX_NOTES: usize = 20;

/// The checks of the service. Clones share its parts.
#[derive(Clone)]
pub struct Health {
    provider: Arc<dyn ImageEmbeddingProvider>,
    stores: Stores,
    jobs: Jobs,
    tokens: Tokens,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("stores", &self.stores).finish_non_exhaustive()
    }
}

/// A service that can answer searches.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// The space of the provider's vectors.
    pub space: Arc<Space>,
    /// One message for each store that is not ready, if other stores are.
    pub warnings: Vec<String>,
    /// A sentence if the disk has little space, one if the keys of the identity provider cannot be read, and one for each
    /// collection that uses another model than that of the settings.
    pub notes: Vec<String>,
}

/// Why the service cannot answer searches.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The service stops.
    #[error("the service is stopping")]
    Draining,
    /// The embedding provider cannot be used.
    #[error(transparent)]
    Provider(#[from] EmbedError),
    /// No store is ready.
    #[error(transparent)]
    Stores(#[from] IndexError),
}

/// The state of each part of the service.
#[derive(Clone, Debug)]
pub struct Status {
    /// The space of the provider's vectors, or an error message for the client.
    pub provider: Result<Arc<Space>, String>,
    /// The collections of each store, or an error message for the client.
    pub stores: StoreStatuses<Vec<CollectionInfo>>,
    /// The Ray cluster, if one is configured.
    pub cluster: Option<Result<ClusterVersion, ClusterError>>,
    /// The engine that runs the model, if it runs in this process.
    pub engine: Option<EngineInfo>,
    /// As in [`Readiness::notes`].
    pub notes: Vec<String>,
    /// Whether the service stops.
    pub is_draining: bool,
}

impl Health {
    /// Creates the checks of these parts.
    pub fn new(provider: Arc<dyn ImageEmbeddingProvider>, stores: Stores, jobs: Jobs, tokens: Tokens) -> Self {
        Self { provider, stores, jobs, tokens }
    }

    /// Checks whether searches can be answered: both towers of the provider have passed their probe and are not
    /// reported as down, and at least one store is ready.
    ///
    /// # Errors
    /// Returns [`NotReady`] for the first check that fails.
    pub async fn ready(&self) -> Result<Readiness, NotReady> {
        if self.jobs.is_draining() {
            return Err(NotReady::Draining);
        }
        let space = self.provider.space().await?;
        self.provider.reachable()?;
        Ok(Readiness { space, warnings: self.stores.ready().await?, notes: self.notes() })
    }

    /// Returns the state of each part.
    pub async fn status(&self) -> Status {
        let (provider, stores, cluster) =
            tokio::join!(self.provider_status(), self.stores.statuses(STATUS_TIMEOUT), self.jobs.cluster());
        let engine = self.provider.engine();
        let (notes, is_draining) = (self.notes(), self.jobs.is_draining());
        Status { provider, stores, cluster, engine, notes, is_draining }
    }

    /// Returns a sentence if the disk has little space, one if the keys of the identity provider cannot be read, and one for
    /// each of the first collections that use another model than that of the settings.
    fn notes(&self) -> Vec<String> {
        let others = self.jobs.0.models.notes();
        let mut notes: Vec<String> = self.jobs.0.disk.note().into_iter().chain(self.tokens.note()).collect();
        notes.extend(others.iter().take(MAX_NOTES).map(|(_, note)| note.clone()));
        if let Some(more) = others.len().checked_sub(MAX_NOTES).filter(|more| *more > 0) {
            notes.push(format!("{more} more collections use another model than that of the settings"));
        }
        notes
    }

    async fn provider_status(&self) -> Result<Arc<Space>, String> {
        let space = tokio::time::timeout(STATUS_TIMEOUT, self.provider.space()).await;
        let space = space.map_err(|_| "did not reply in time".to_owned())?;
        let reachable = space.and_then(|space| self.provider.reachable().map(|()| space));
        reachable.map_err(|error| match error {
            EmbedError::Dependency(down) => down.for_client(),
            other => other.to_string(),
        })
    }
}
