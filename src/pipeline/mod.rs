//! The one chain: copy → fetch → prepare → thumbnail → chunk → embed → upsert. Written once, read top to bottom; runs across
//! batches without a barrier between them. What one store has and another lacks is copied and skips the rest. Knows the ports by their traits; knows nothing of ledgers, leases or HTTP replies.
//!
//! Each unit of work runs in a task of its own ([`Concurrently`]). What fails leaves the chain as an [`TaskOutcome`] with a
//! class; what succeeds leaves it as an [`TaskOutcome`] once every store has it. A dependency that is down is no item's
//! failure: [`Pipeline::run`] ends with it and the items stay undone.

pub mod budget;
mod decoded;
mod halving;
mod possible_copy;
mod settings;
mod stages;
mod steps;
mod store;
mod timings;
mod write_lease;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::domain::{CollectionName, DependencyError, ImageRef, ImageUri, ItemFailure, Space, SpaceMismatch, StoreSet};
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::imaging::Limits;
use crate::index::Stores;
use crate::resilience::{Concurrently, until_stopped};
use crate::source::{ImageSource, SourceError};
use crate::telemetry::metrics::{Counter, families};

pub use budget::MemoryBudget;
pub use settings::{Lanes, PipelineSettings};
pub use stages::Stages;
pub use timings::{StageReport, StageTimes, StagesReport, Timings};
pub use write_lease::{Until, WriteLease};

/// One image to be indexed, and the ticket under which its outcome is reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Whoever gave the task knows it by this number.
    pub ticket: i64,
    /// Which image.
    pub image: ImageRef,
    /// Stores that have it already, in this version and space: it is copied from there to the others, not embedded again.
    pub have: StoreSet,
    /// An image of the collection whose bytes may be the same: where they are, its vector is.
    pub possible_copy: Option<ImageUri>,
    /// What a metadata file says of it; counts for more than what the object itself says.
    pub metadata: BTreeMap<String, String>,
}

/// What became of one task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// Of the task.
    pub ticket: i64,
    /// What that is.
    pub fate: ItemOutcome,
}

/// What became of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemOutcome {
    /// Every store has it.
    Indexed(Indexed),
    /// Some stores have it, and another is waited for: it is not done. Said only where that takes its time.
    Lags(Indexed),
    /// It could not be indexed. What some stores took before another refused it was said by [`ItemOutcome::Lags`].
    Failed(ItemFailure),
}

/// An image that stores have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed {
    /// The version of the bytes that were read: an ETag, or when they were written.
    pub etag: Option<String>,
    /// How many bytes were read.
    pub size_bytes: u64,
    /// The stores that have it.
    pub stores: StoreSet,
    /// Whether the record was copied, with the metadata that it had, or made anew, with [`Task::metadata`].
    pub copied: bool,
}

/// What ended a run before its tasks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RunError {
    /// A dependency that failed and that nobody below was patient with.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    /// The bucket cannot be read before its settings are changed.
    #[error(transparent)]
    Bucket(SourceError),
    /// The embedding provider does not do what it says, or failed.
    #[error(transparent)]
    Provider(#[from] EmbedError),
    /// The embedding provider makes vectors of another space than when the run began.
    #[error(transparent)]
    Space(#[from] SpaceMismatch),
}

impl From<SourceError> for RunError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Dependency(down) => Self::Dependency(down),
            error => Self::Bucket(error),
        }
    }
}

/// What one run works for.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where records go.
    pub collection: CollectionName,
    /// The space of the collection.
    pub space: Arc<Space>,
    /// Where timings go.
    pub stages: Arc<Stages>,
    /// Until when what was read may be written.
    pub leave: WriteLease,
}

/// The chain with its parts; one for the whole service, so that its bounds hold over all jobs together.
#[derive(Clone)]
pub struct Pipeline {
    source: Arc<dyn ImageSource>,
    provider: Arc<dyn ImageEmbeddingProvider>,
    stores: Stores,
    limits: Limits,
    lanes: Lanes,
    budget: Arc<MemoryBudget>,
    /// One permit a core for decoding and resizing.
    cores: Arc<Semaphore>,
    /// Where thumbnails are written; `None`: nowhere.
    thumbnail_prefix: Option<Arc<str>>,
    /// Images whose vector is that of a record of the same bytes.
    reused: Counter,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// A part of a chunk may wait this long for the rest: full batches while work flows, no stand-still when it ebbs.
const CHUNK_WAIT: Duration = Duration::from_millis(50);

impl Pipeline {
    /// The chain from its parts.
    pub fn new(
        source: Arc<dyn ImageSource>,
        provider: Arc<dyn ImageEmbeddingProvider>,
        stores: Stores,
        limits: Limits,
        settings: &PipelineSettings,
    ) -> Self {
        let lanes = settings.lanes();
        Self {
            source,
            provider,
            stores,
            limits,
            lanes,
            budget: Arc::new(MemoryBudget::new(settings.memory_bytes())),
            cores: Arc::new(Semaphore::new(lanes.prepare.get())),
            thumbnail_prefix: None,
            reused: families::VECTORS_REUSED.labels(["same_bytes"]),
        }
    }

    /// The same, writing a thumbnail of each image into its bucket, under this prefix.
    #[must_use]
    pub fn with_thumbnails(self, prefix: Option<String>) -> Self {
        Self { thumbnail_prefix: prefix.map(Into::into), ..self }
    }

    /// The source that it reads from.
    pub fn source(&self) -> &Arc<dyn ImageSource> {
        &self.source
    }

    /// The provider that it embeds with.
    pub fn provider(&self) -> &Arc<dyn ImageEmbeddingProvider> {
        &self.provider
    }

    /// The stores that it writes to.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// What a image may be.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many of each stage may run at once.
    pub fn lanes(&self) -> Lanes {
        self.lanes
    }

    /// Tells `/metrics` what is so at this moment.
    pub fn observe(&self) {
        self.budget.observe();
    }

    /// Takes batches of tasks until there are none and everything taken is reported to `outcomes`. When `stop` is cancelled it
    /// takes no more and lets what is in flight come to its end; what waits for a dependency then stays undone. Dropping the
    /// future aborts what is in flight: nothing half-written remains, because a record is one upsert.
    ///
    /// # Errors
    /// [`RunError`]. Tasks without an outcome stay undone.
    pub async fn run(
        &self,
        run: Run,
        batches: impl Stream<Item = Vec<Task>> + Send,
        outcomes: mpsc::Sender<TaskOutcome>,
        stop: CancellationToken,
    ) -> Result<(), RunError> {
        until_stopped(stop.clone(), self.run_whole(run, batches, outcomes, stop)).await
    }

    async fn run_whole(
        &self,
        run: Run,
        batches: impl Stream<Item = Vec<Task>> + Send,
        outcomes: mpsc::Sender<TaskOutcome>,
        stop: CancellationToken,
    ) -> Result<(), RunError> {
        let steps = steps::Steps::new(self.clone(), run, outcomes, stop.clone());
        let [copy, fetch, prepare, thumbnail, embed, upsert] = [(); 6].map(|()| steps.clone());
        let ready = batches
            .take_until(stop.clone().cancelled_owned())
            .concurrently(self.lanes.upsert, move |batch| copy.clone().copy(batch))
            .flat_map(futures::stream::iter)
            // A batch that came before the stop is not begun after it.
            .filter(move |_| std::future::ready(!stop.is_cancelled()))
            .concurrently(self.lanes.fetch, move |task| fetch.clone().fetch(task))
            .filter_map(std::future::ready)
            .concurrently(self.lanes.prepare, move |loaded| prepare.clone().prepare(loaded))
            .filter_map(std::future::ready)
            .concurrently(self.lanes.fetch, move |ready| thumbnail.clone().thumbnail(ready))
            .filter_map(std::future::ready);
        let mut stored = Box::pin(
            tokio_stream::StreamExt::chunks_timeout(ready, self.lanes.batch.get(), CHUNK_WAIT)
                .concurrently(self.lanes.embed, move |chunk| embed.clone().embed(chunk))
                .filter(|records| std::future::ready(!records.is_empty()))
                .concurrently(self.lanes.upsert, move |records| upsert.clone().upsert(records)),
        );
        while stored.next().await.is_some() {}
        drop(stored);
        steps.verdict()
    }
}
