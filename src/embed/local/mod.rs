//! The provider `local`: runs an image-text model in this process on the CPU, with one worker for each core. The model
//! is the built-in one, one in a folder, or one from the Hugging Face hub.
//!
//! Depends on rten, tokenizers and the specs of models, not on the source of images or the use of vectors.

mod built_in;
mod details;
mod engine;
mod folder;
mod loader;
mod queue;
mod source;
mod towers;
mod weights;
mod workers;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use tokio::sync::OnceCell;

use loader::ModelLoader;
use queue::Urgency;
use towers::Towers;
use workers::Workers;

use super::{Busy, EmbedError, EngineInfo, ImageEmbeddingProvider, probe};
use crate::domain::{DependencyError, Embedding, FailureKind, Language, Space};
use crate::imaging::{InputColour, PreparedImage, Preprocessing, Resize};
pub use crate::models::Precision;

pub use details::{ModelDetails, TowerDetails};
pub use engine::{Device, Engine, EngineError, EngineKind};
pub use source::{BUILT_IN, Source};

/// The name of the provider in errors.
const DEPENDENCY: &str = "local";

/// A model in this process. Clones share its networks and its workers.
#[derive(Clone)]
pub struct LocalProvider {
    workers: Arc<Workers>,
    loader: Arc<ModelLoader>,
    resize: Resize,
    colour: InputColour,
}

impl LocalProvider {
    /// Creates a provider whose model is downloaded and loaded in the background, from the first call on. Until it is
    /// loaded, calls return [`FailureKind::Unavailable`]. It has `threads` workers; one for each core is best. If `size` is
    /// set, a model with another image size is refused.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if a thread cannot be started.
    pub fn new(source: Source, size: Option<u32>, threads: NonZeroUsize) -> Result<Self, EmbedError> {
        let (workers, loader) = (Arc::new(Workers::start(threads)?), Arc::new(ModelLoader::new(source, size)));
        Ok(Self { workers, loader, resize: Resize::Crop, colour: InputColour::Reference })
    }

    /// Loads the built-in model and starts `threads` workers. Blocks for about a quarter of a second of CPU.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the built-in files cannot be loaded or a thread cannot be started.
    pub fn start(threads: NonZeroUsize) -> Result<Self, EmbedError> {
        let loader = Arc::new(ModelLoader::with_model(Source::built_in(), built_in::towers(&Engine::default())?));
        Ok(Self {
            workers: Arc::new(Workers::start(threads)?),
            loader,
            resize: Resize::Crop,
            colour: InputColour::Reference,
        })
    }

    /// Creates a provider and waits until its model is loaded.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] if the model cannot be downloaded or loaded; the message says what to do.
    pub async fn open(source: Source, threads: NonZeroUsize) -> Result<Self, EmbedError> {
        let provider = Self::new(source, None, threads)?;
        provider.ready().await?;
        Ok(provider)
    }

    /// Waits until the model is loaded, without a time limit.
    ///
    /// # Errors
    /// As [`LocalProvider::open`].
    pub async fn ready(&self) -> Result<(), EmbedError> {
        self.loader.wait().await.map(|_| ())
    }

    /// Whether loading the model needs no network.
    pub fn needs_no_network(&self) -> bool {
        self.loader.needs_no_network()
    }

    /// Returns the files and rules of the model, once it is loaded. The built-in model has none.
    pub fn details(&self) -> Option<ModelDetails> {
        self.loader.loaded()?.details.clone()
    }

    /// Changes how images are made square. This gives another space.
    #[must_use]
    pub fn with_resize(self, resize: Resize) -> Self {
        Self { resize, ..self }
    }

    /// Gives the model these colours.
    #[must_use]
    pub fn with_colour(self, colour: InputColour) -> Self {
        Self { colour, ..self }
    }

    async fn images(
        &self,
        towers: Arc<Towers>,
        images: Vec<PreparedImage>,
        urgency: Urgency,
    ) -> Result<Vec<Embedding>, EmbedError> {
        self.workers.run(urgency, move || towers.images(&images)).await
    }
}

#[async_trait]
impl ImageEmbeddingProvider for LocalProvider {
    fn preprocessing(&self) -> Preprocessing {
        let own = Preprocessing { colour: self.colour, ..self.loader.preprocessing() };
        // The model decides how images are resized, unless the settings say that they are padded.
        match self.resize {
            pad @ Resize::Pad(_) => Preprocessing { resize: pad, ..own },
            _ => own,
        }
    }

    async fn space(&self) -> Result<Arc<Space>, EmbedError> {
        // The built-in model in rten cannot change while the process runs, so it is probed once for all its providers.
        static PROBED: OnceCell<Space> = OnceCell::const_new();
        // The probes have the image size of the model, so it must be loaded first.
        let towers = self.loader.towers().await?;
        let probe = || probe::probe_space(self, &towers.name, Some(towers.dimension));
        if !self.loader.is_built_in() || *self.loader.engine() != Engine::default() {
            let mut space = probe().await?;
            // The probes have no capital letters and no punctuation, so that they do not show how texts are cleaned.
            space.preprocessing.push_str(towers.text_rule);
            return Ok(Arc::new(space));
        }
        let probed = PROBED.get_or_try_init(probe).await?.clone();
        // The probe images are squares of the model's size, so their vectors do not depend on the resize.
        Ok(Arc::new(Space { preprocessing: self.preprocessing().to_string(), ..probed }))
    }

    /// Divides the images into runs of the size that is fastest for the model, over all workers. A search waits for at
    /// most one run.
    async fn embed_image_batch(&self, images: &[PreparedImage]) -> Result<Vec<Embedding>, EmbedError> {
        let towers = self.loader.towers().await?;
        let share = self.loader.engine().share(images.len(), self.workers.busy().threads);
        let runs = images.chunks(towers.run.get().min(share).max(1));
        let vectors =
            try_join_all(runs.map(|run| self.images(towers.clone(), run.to_vec(), Urgency::Background))).await?;
        Ok(vectors.into_iter().flatten().collect())
    }

    async fn embed_image(&self, image: &PreparedImage) -> Result<Embedding, EmbedError> {
        let towers = self.loader.towers().await?;
        let mut one = self.images(towers, vec![image.clone()], Urgency::Interactive).await?;
        one.pop().ok_or(EmbedError::WrongCount { sent: 1, got: 0 })
    }

    async fn embed_text(&self, text: &str) -> Result<Embedding, EmbedError> {
        self.embed_text_in(text, None).await
    }

    async fn embed_text_in(&self, text: &str, language: Option<Language>) -> Result<Embedding, EmbedError> {
        let (towers, text) = (self.loader.towers().await?, text.to_owned());
        self.workers.run(Urgency::Interactive, move || towers.text(&text, language)).await
    }

    fn busy(&self) -> Option<Busy> {
        Some(self.workers.busy())
    }

    fn engine(&self) -> Option<EngineInfo> {
        let engine = self.loader.engine();
        Some(EngineInfo { name: engine.kind().name(), device: engine.device().to_string() })
    }
}

impl fmt::Debug for LocalProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalProvider")
            .field("model", &self.loader.name())
            .field("busy", &self.workers.busy())
            .finish_non_exhaustive()
    }
}

/// Returns an error of the provider itself, not of the input.
fn failed(detail: String) -> EmbedError {
    dependency(FailureKind::Failed, detail)
}

/// Returns an error of the model or of the settings. A retry does not help.
fn unusable(detail: String) -> EmbedError {
    dependency(FailureKind::Refused, detail)
}

fn dependency(failure: FailureKind, detail: String) -> EmbedError {
    EmbedError::Dependency(DependencyError { dependency: DEPENDENCY.to_owned(), failure, detail })
}

#[cfg(test)]
#[cfg(feature = "onnxruntime")]
mod onnxruntime_tests;
