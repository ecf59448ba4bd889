//! Checks one model: loads it, probes both towers, calibrates it on the demo images and measures its speed.

use serde::Serialize;
use tokio::time::Instant;

use super::measurements::{Measurement, Measurements, processor};
use super::{BuildError, known, licence, source};
use crate::app::providers::check_engine;
use crate::calibration::DemoCheck;
use crate::config::Settings;
use crate::domain::Timestamp;
use crate::embed::local::{Engine, LocalProvider, ModelDetails};
use crate::embed::{EmbedError, ImageEmbeddingProvider as _};
use crate::models::{CatalogueModel, Precision};
use crate::telemetry::metrics::peak_memory;

/// The result of a check of a model that can be used.
#[derive(Debug, Serialize)]
pub(crate) struct ModelCheck {
    /// The name of the model in the identity of its space.
    pub(crate) model: String,
    pub(crate) dimension: usize,
    /// Side of an image in pixels.
    pub(crate) image_size: u32,
    /// Name of the whole preparation, of images and texts.
    pub(crate) preprocessing: String,
    /// `None` for the built-in model.
    pub(crate) details: Option<ModelDetails>,
    /// Name and version of the engine, and its device.
    pub(crate) engine: String,
    pub(crate) load_seconds: f64,
    #[serde(flatten)]
    pub(crate) demo: DemoCheck,
    pub(crate) threads: usize,
    pub(crate) processor: String,
    /// The largest resident memory of this process, if the system reports it.
    pub(crate) peak_memory_bytes: Option<f64>,
    /// The licence, if it forbids commercial use.
    pub(crate) restricted_licence: Option<&'static str>,
    /// Why the measurements could not be stored.
    pub(crate) not_stored: Option<String>,
}

impl ModelCheck {
    /// Downloads missing files, checks the model and stores what was measured.
    ///
    /// # Errors
    /// [`BuildError`] with the reason why the model cannot be used.
    pub(crate) async fn run(settings: &Settings, name: &str, precision: Precision) -> Result<Self, BuildError> {
        let engine = check_engine(settings).await?;
        let source = source(settings, name, precision)?.with_engine(Engine::from_settings(&settings.embed));
        let threads = settings.embed.threads();
        let (known, restricted_licence) = (known(&source, name), licence(&source, name));
        source.download().await?;
        let started = Instant::now();
        // With the settings of the service, so that the space is the one that the service will have.
        let provider = LocalProvider::new(source, settings.imaging.image_target_size, threads)?;
        let provider = provider.with_resize(settings.imaging.resize()).with_colour(settings.imaging.colour());
        provider.ready().await?;
        let load_seconds = started.elapsed().as_secs_f64();
        let space = provider.space().await?;
        let demo = DemoCheck::run(&provider, &space).await.map_err(EmbedError::ProbeFailed)?;
        let mut check = Self {
            model: space.model.clone(),
            dimension: space.dimension,
            image_size: provider.preprocessing().size,
            preprocessing: space.preprocessing.clone(),
            details: provider.details(),
            engine,
            load_seconds,
            demo,
            threads: threads.get(),
            processor: processor(),
            peak_memory_bytes: peak_memory(),
            restricted_licence,
            not_stored: None,
        };
        check.not_stored = known.and_then(|known| Measurements::add(settings, check.measurement(known)).err());
        Ok(check)
    }

    fn measurement(&self, known: &CatalogueModel) -> Measurement {
        Measurement {
            model: known.name.clone(),
            precision: self.details.as_ref().map_or(Precision::Fp32, |details| details.precision),
            processor: self.processor.clone(),
            engine: self.engine.clone(),
            threads: self.threads,
            images_per_second: self.demo.images_per_second,
            texts_per_second: self.demo.texts_per_second,
            measured_at: Timestamp::now(),
        }
    }
}
