//! The provider `local`: the model that is inside the binary, run in this process on the CPU, one worker a core.
//!
//! Knows rten and the model's card; nothing of where pictures come from or where vectors go.

mod card;
mod files;
mod queue;
mod text;
mod towers;
mod workers;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;

use card::Card;
use queue::Urgency;
use towers::Towers;
use workers::Workers;

use super::{Busy, EmbedError, ImageEmbeddingProvider, probe};
use crate::domain::{DependencyError, Embedding, Space, Trouble};
use crate::imaging::{PreparedImage, Preprocessing, Resize};

/// The built-in model in this process.
pub struct LocalProvider {
    workers: Workers,
    towers: Arc<Towers>,
    card: Card,
    resize: Resize,
}

impl LocalProvider {
    /// Loads the model, which takes about a quarter of a second of CPU (call it on a thread that may block), and
    /// starts `threads` workers: one a core is best.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] where the built-in files do not load or no thread can be had.
    pub fn start(threads: NonZeroUsize) -> Result<Self, EmbedError> {
        let card = Card::parse(files::CARD)?;
        let towers = Arc::new(Towers::load(&card)?);
        Ok(Self { workers: Workers::start(threads)?, towers, card, resize: Resize::Crop })
    }

    /// The same with pictures brought to the square in another way, which is another space.
    #[must_use]
    pub fn with_resize(self, resize: Resize) -> Self {
        Self { resize, ..self }
    }

    async fn image(&self, image: &PreparedImage, urgency: Urgency) -> Result<Embedding, EmbedError> {
        let (towers, image) = (self.towers.clone(), image.clone());
        let run = move |threads: &_| towers.images(std::slice::from_ref(&image), threads);
        let mut one = self.workers.run(urgency, run).await?;
        one.pop().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
    }
}

#[async_trait]
impl ImageEmbeddingProvider for LocalProvider {
    fn preprocessing(&self) -> Preprocessing {
        Preprocessing { size: self.card.image.image_size, resize: self.resize }
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        probe::space_of(self, &self.card.name, Some(self.card.dimension)).await.map(Arc::new)
    }

    /// A batch is run picture by picture: on one thread that is no slower (52 ms a picture, 58 in runs of four and
    /// 60 in runs of eight, whose activations leave the cache), it spreads over all workers, and a search waits
    /// for one picture at most.
    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        try_join_all(images.iter().map(|image| self.image(image, Urgency::Bulk))).await
    }

    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        self.image(image, Urgency::Now).await
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        let (towers, text) = (self.towers.clone(), text.to_owned());
        self.workers.run(Urgency::Now, move |threads| towers.text(&text, threads)).await
    }

    fn busy(&self) -> Option<Busy> {
        Some(self.workers.busy())
    }
}

impl fmt::Debug for LocalProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalProvider")
            .field("model", &self.card.name)
            .field("busy", &self.workers.busy())
            .finish_non_exhaustive()
    }
}

/// The provider itself is the trouble, not the input.
fn failed(detail: String) -> EmbedError {
    EmbedError::Dependency(DependencyError { dependency: "local".to_owned(), trouble: Trouble::Failed, detail })
}
