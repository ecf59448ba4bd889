//! The pipeline: copy → fetch → prepare → thumbnail → chunk → embed → upsert. It runs across batches without a barrier
//! between them. A record that one store has and another lacks is copied and skips the other steps. The pipeline knows
//! the ports by their traits; it does not know about ledgers, leases or HTTP replies.
//!
//! Each unit of work runs in its own task ([`Concurrently`]). A task ends with a [`TaskOutcome`]: a failure with its
//! class, or a success once every store has the record. A dependency that is down does not fail an item:
//! [`Pipeline::run`] returns its error and the items stay undone.

pub mod budget;
mod decoded;
mod embed;
mod halving;
mod possible_copy;
mod ready;
mod refresh;
mod settings;
mod shared_vectors;
mod stages;
mod steps;
mod store;
mod thumbnails;
mod timings;
mod traces;
mod write_lease;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::domain::{CollectionName, DependencyError, Embedding, ExifLevel, ImageId, Space, SpaceMismatch};
use crate::embed::{EmbedError, ImageEmbeddingProvider};
use crate::imaging::Limits;
use crate::index::Stores;
use crate::resilience::{Concurrently, until_stopped};
use crate::source::{ImageSource, SourceError};
use crate::telemetry::metrics::{Counter, counter, families};
use thumbnails::ThumbnailTarget;

pub use crate::domain::{Indexed, ItemOutcome, Task, TaskOutcome};
pub use budget::MemoryBudget;
pub use settings::{Lanes, PipelineSettings};
pub use stages::Stages;
pub use thumbnails::ThumbnailStore;
pub use timings::{StageReport, StageTimes, StagesReport, TimingTotals, Timings};
pub use traces::RunTrace;
pub use write_lease::{Until, WriteLease};

/// Why a run ended before all of its tasks were done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RunError {
    /// A dependency failed, and no guard waited for it.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    /// The bucket cannot be read until its settings are changed.
    #[error(transparent)]
    Bucket(SourceError),
    /// The embedding provider does not do what it announces, or failed.
    #[error(transparent)]
    Provider(#[from] EmbedError),
    /// The embedding provider makes vectors of another space than at the beginning of the run.
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

/// The target of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The collection that records are written to.
    pub collection: CollectionName,
    /// The space of the collection.
    pub space: Arc<Space>,
    /// Where timings are recorded.
    pub stages: Arc<Stages>,
    /// The lease that limits how long records may be written.
    pub write_lease: WriteLease,
    /// Which facts of EXIF, IPTC and XMP are stored.
    pub exif: ExifLevel,
    /// Which trace the images belong to.
    pub trace: RunTrace,
}

/// The pipeline with its parts. The service has only one, so that its limits apply to all jobs together.
#[derive(Clone)]
pub struct Pipeline {
    source: Arc<dyn ImageSource>,
    provider: Arc<dyn ImageEmbeddingProvider>,
    stores: Stores,
    limits: Limits,
    lanes: Lanes,
    budget: Arc<MemoryBudget>,
    /// One permit for each core, for decoding and resizing.
    cores: Arc<Semaphore>,
    thumbnails: ThumbnailTarget,
    exif: ExifLevel,
    /// Vectors that are known without the model.
    vectors: Arc<HashMap<ImageId, Embedding>>,
    /// Number of images that reuse the vector of a record, or of another image of the run, with the same bytes.
    reused: Counter,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// How long an incomplete chunk waits for more images: long enough for full batches under load, short enough that a
/// slow flow is not blocked.
const CHUNK_WAIT: Duration = Duration::from_millis(50);

impl Pipeline {
    /// Builds the pipeline from its parts.
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
            budget: Arc::new(MemoryBudget::new(settings.glimpse_memory_mb.bytes())),
            cores: Arc::new(Semaphore::new(lanes.prepare.get())),
            thumbnails: ThumbnailTarget::Nowhere,
            exif: ExifLevel::None,
            vectors: Arc::default(),
            reused: counter!(families::VECTORS_REUSED, "reason" => "same_bytes"),
        }
    }

    /// Writes a thumbnail of each image into the bucket of the image, under this prefix, if there is one.
    #[must_use]
    pub fn with_thumbnail_prefix(self, prefix: &str) -> Self {
        if prefix.is_empty() { self } else { Self { thumbnails: ThumbnailTarget::Bucket(prefix.into()), ..self } }
    }

    /// Keeps a thumbnail of each decoded image in this store, unless thumbnails are written into the bucket.
    #[must_use]
    pub fn with_thumbnail_store(self, store: Arc<dyn ThumbnailStore>) -> Self {
        match self.thumbnails {
            ThumbnailTarget::Bucket(_) => self,
            ThumbnailTarget::Nowhere | ThumbnailTarget::Local(_) => {
                Self { thumbnails: ThumbnailTarget::Local(store), ..self }
            }
        }
    }

    /// Embeds with this provider, within the same limits as before.
    #[must_use]
    pub fn with_provider(self, provider: Arc<dyn ImageEmbeddingProvider>) -> Self {
        Self { provider, ..self }
    }

    /// Takes the vectors of these images from here, and not from the model.
    #[must_use]
    pub fn with_vectors(self, vectors: Arc<HashMap<ImageId, Embedding>>) -> Self {
        Self { vectors, ..self }
    }

    /// Sets which facts of EXIF, IPTC and XMP the runs of this process store; none by default.
    #[must_use]
    pub fn with_exif(self, exif: ExifLevel) -> Self {
        Self { exif, ..self }
    }

    /// Returns which facts of EXIF, IPTC and XMP the runs of this process store.
    pub fn exif(&self) -> ExifLevel {
        self.exif
    }

    /// Returns the source that the pipeline reads from.
    pub fn source(&self) -> &Arc<dyn ImageSource> {
        &self.source
    }

    /// Returns the embedding provider.
    pub fn provider(&self) -> &Arc<dyn ImageEmbeddingProvider> {
        &self.provider
    }

    /// Returns the stores that the pipeline writes to.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Returns the limits for images.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns how many units of work each stage runs at once.
    pub fn lanes(&self) -> Lanes {
        self.lanes
    }

    /// Publishes the current state in `/metrics`.
    pub fn observe(&self) {
        self.budget.observe();
    }

    /// Processes batches of tasks until there are none left and every task is reported to `outcomes`. When `stop` is
    /// cancelled, it takes no more tasks and finishes those in flight; tasks that wait for a dependency stay undone.
    /// Dropping the future aborts the tasks in flight. Nothing half-written remains, because a record is written with
    /// one upsert.
    ///
    /// # Errors
    /// Returns [`RunError`] if the run cannot continue. Tasks without an outcome stay undone.
    pub async fn run(
        &self,
        run: Run,
        batches: impl Stream<Item = Vec<Task>> + Send,
        outcomes: mpsc::Sender<TaskOutcome>,
        stop: CancellationToken,
    ) -> Result<(), RunError> {
        until_stopped(stop.clone(), self.run_until_done(run, batches, outcomes, stop)).await
    }

    async fn run_until_done(
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
            // A batch that arrived before the stop is not started after it.
            .filter(move |_| std::future::ready(!stop.is_cancelled()))
            .concurrently(self.lanes.fetch, move |task| fetch.clone().fetch(task))
            .filter_map(std::future::ready)
            .concurrently(self.lanes.prepare, move |loaded| prepare.clone().prepare(loaded))
            .filter_map(std::future::ready)
            .concurrently(self.lanes.fetch, move |ready| thumbnail.clone().thumbnail(ready))
            .filter_map(std::future::ready);
        // While all calls of the provider are in use, the images of the next batch collect here. Without it, a batch that
        // is larger than what the stages above hold would never be full.
        let (sender, next_batch) = mpsc::channel(self.lanes.batch.get());
        let collect = Box::pin(async move {
            let mut ready = pin!(ready);
            while let Some(image) = ready.next().await {
                if sender.send(image).await.is_err() {
                    break;
                }
            }
        });
        let next_batch = tokio_stream::wrappers::ReceiverStream::new(next_batch);
        let stored = tokio_stream::StreamExt::chunks_timeout(next_batch, self.lanes.batch.get(), CHUNK_WAIT)
            .concurrently(self.lanes.embed, move |chunk| embed.clone().embed(chunk))
            .filter(|records| std::future::ready(!records.is_empty()))
            .concurrently(self.lanes.upsert, move |records| upsert.clone().upsert(records))
            .for_each(|()| std::future::ready(()));
        tokio::join!(collect, Box::pin(stored));
        steps.result()
    }
}
