//! The provider `local`: a CLIP run in this process on the CPU, one worker a core. The model is the one inside the
//! binary, one in a folder, or one of the Hugging Face hub.
//!
//! Knows rten, tokenizers and how models are described; nothing of where images come from or where vectors go.

mod bpe;
mod card;
mod files;
mod folder;
mod opening;
mod queue;
mod source;
mod text;
mod tower;
mod towers;
mod weights;
mod workers;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;

use opening::Opening;
use queue::Urgency;
use towers::Towers;
use workers::Workers;

use super::remote::USUAL_SIZE;
use super::{Busy, EmbedError, ImageEmbeddingProvider, probe};
use crate::domain::{DependencyError, Embedding, Space, Trouble};
use crate::imaging::{PreparedImage, Preprocessing, Resize};

pub use folder::Precision;
pub use source::{BUILT_IN, Source};

/// What errors call it.
const DEPENDENCY: &str = "local";

/// A model in this process.
pub struct LocalProvider {
    workers: Workers,
    opening: Opening,
    resize: Resize,
}

impl LocalProvider {
    /// A provider whose model is fetched and loaded in the background from the first call on. Until it is there, calls
    /// answer [`Trouble::Unavailable`]. It has `threads` workers: one a core is best. `size` is what the settings
    /// insist on: a model that takes another is refused.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] where no thread can be had.
    pub fn new(source: Source, size: Option<u32>, threads: NonZeroUsize) -> Result<Self, EmbedError> {
        let (workers, opening) = (Workers::start(threads)?, Opening::new(source, size));
        Ok(Self { workers, opening, resize: Resize::Crop })
    }

    /// The built-in model, ready: loads it, which takes about a quarter of a second of CPU (call it on a thread that may
    /// block), and starts `threads` workers.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] where the built-in files do not load or no thread can be had.
    pub fn start(threads: NonZeroUsize) -> Result<Self, EmbedError> {
        let opening = Opening::done(Source::built_in(), Towers::built_in()?);
        Ok(Self { workers: Workers::start(threads)?, opening, resize: Resize::Crop })
    }

    /// Any model, ready: waits until it is there.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] where it cannot be had or does not load: the message says what to do.
    pub async fn open(source: Source, threads: NonZeroUsize) -> Result<Self, EmbedError> {
        let provider = Self::new(source, None, threads)?;
        provider.ready().await?;
        Ok(provider)
    }

    /// Waits until the model is there, however long that takes.
    ///
    /// # Errors
    /// As [`LocalProvider::open`].
    pub async fn ready(&self) -> Result<(), EmbedError> {
        self.opening.wait().await.map(|_| ())
    }

    /// The same with images brought to the square in another way, which is another space.
    #[must_use]
    pub fn with_resize(self, resize: Resize) -> Self {
        Self { resize, ..self }
    }

    async fn images(
        &self,
        towers: Arc<Towers>,
        images: Vec<PreparedImage>,
        urgency: Urgency,
    ) -> Result<Vec<Embedding>, EmbedError> {
        self.workers.run(urgency, move |threads| towers.images(&images, threads)).await
    }
}

#[async_trait]
impl ImageEmbeddingProvider for LocalProvider {
    fn preprocessing(&self) -> Preprocessing {
        let resize = match self.resize {
            // Which of the two is the model's, not the user's.
            Resize::Crop | Resize::CropFloor => self.opening.crop(),
            Resize::Pad(colour) => Resize::Pad(colour),
        };
        Preprocessing { size: self.opening.size().unwrap_or(USUAL_SIZE), resize }
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        // The probes are drawn at the model's size: it must be there first.
        let towers = self.opening.towers().await?;
        probe::space_of(self, &towers.name, Some(towers.dimension)).await.map(Arc::new)
    }

    /// In runs of as many images as is quickest for this model, over all workers; a search waits for one run at most.
    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        let towers = self.opening.towers().await?;
        let share = images.len().div_ceil(self.workers.busy().threads.get());
        let runs = images.chunks(towers.run.get().min(share).max(1));
        let vectors = try_join_all(runs.map(|run| self.images(towers.clone(), run.to_vec(), Urgency::Bulk))).await?;
        Ok(vectors.into_iter().flatten().collect())
    }

    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        let towers = self.opening.towers().await?;
        let mut one = self.images(towers, vec![image.clone()], Urgency::Now).await?;
        one.pop().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        let (towers, text) = (self.opening.towers().await?, text.to_owned());
        self.workers.run(Urgency::Now, move |threads| towers.text(&text, threads)).await
    }

    /// A full run for each worker, where a run of several is quicker.
    fn useful_batch(&self) -> NonZeroUsize {
        match self.opening.loaded().map_or(NonZeroUsize::MIN, |towers| towers.run) {
            NonZeroUsize::MIN => NonZeroUsize::MIN,
            run => run.saturating_mul(self.workers.busy().threads),
        }
    }

    fn busy(&self) -> Option<Busy> {
        Some(self.workers.busy())
    }
}

impl fmt::Debug for LocalProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalProvider")
            .field("model", &self.opening.name())
            .field("busy", &self.workers.busy())
            .finish_non_exhaustive()
    }
}

/// The provider itself is the trouble, not the input.
fn failed(detail: String) -> EmbedError {
    dependency(Trouble::Failed, detail)
}

/// The model, or what was set, will not do: no other try helps.
fn unusable(detail: String) -> EmbedError {
    dependency(Trouble::Refused, detail)
}

fn dependency(trouble: Trouble, detail: String) -> EmbedError {
    EmbedError::Dependency(DependencyError { dependency: DEPENDENCY.to_owned(), trouble, detail })
}
