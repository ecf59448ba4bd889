//! Source of the model: the binary, a folder or the hub.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::built_in;
use super::engine::Engine;
use super::folder::{self, ModelFiles, Precision};
use super::towers::Towers;
use super::unusable;
use crate::embed::hub::{Hub, HubSettings, Repo, expand_path};
use crate::embed::{EmbedError, EmbedSettings};

/// The name of the built-in model.
pub const BUILT_IN: &str = "glimpse-mini-1";

/// Repositories, each with the repository of an export of its weights to ONNX, with separate towers.
const ONNX_EXPORTS: [(&str, &str); 4] = [
    ("openai/clip-vit-base-patch32", "Xenova/clip-vit-base-patch32"),
    ("openai/clip-vit-base-patch16", "Xenova/clip-vit-base-patch16"),
    ("openai/clip-vit-large-patch14", "Xenova/clip-vit-large-patch14"),
    ("openai/clip-vit-large-patch14-336", "Xenova/clip-vit-large-patch14-336"),
];

/// A model that can be loaded.
#[derive(Debug)]
pub struct Source {
    place: Place,
    precision: Precision,
    engine: Engine,
}

#[derive(Debug)]
enum Place {
    BuiltIn,
    Folder(PathBuf),
    Hub { hub: Box<Hub>, repo: Repo, model: String },
}

impl Source {
    /// Returns the built-in model.
    pub fn built_in() -> Self {
        Self { place: Place::BuiltIn, precision: Precision::Fp32, engine: Engine::default() }
    }

    /// Returns a folder with a CLIP exported to ONNX.
    pub fn folder(path: impl Into<PathBuf>, precision: Precision) -> Self {
        Self { place: Place::Folder(path.into()), precision, engine: Engine::default() }
    }

    /// Returns the model of `CLIP_MODEL`: the built-in model if it has its name, or else a folder or a repository of
    /// the hub.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] with a message that names the setting.
    pub fn from_settings(settings: &EmbedSettings, hub: &HubSettings) -> Result<Self, EmbedError> {
        let (precision, engine) = (settings.clip_precision, Engine::from_settings(settings));
        let model = settings.clip_model.as_str();
        if model == BUILT_IN {
            return Ok(Self::built_in().with_engine(engine));
        }
        // The name of a repository cannot contain `~` or `$`.
        let path = expand_path(model);
        if is_path(model) || model.contains('$') || path.is_dir() {
            return Ok(Self::folder(path, precision).with_engine(engine));
        }
        let repo: Repo =
            export_of(model).parse().map_err(|reason: String| unusable(format!("CLIP_MODEL: {reason}")))?;
        let hub = Box::new(Hub::new(hub)?);
        Ok(Self { place: Place::Hub { hub, repo, model: model.to_owned() }, precision, engine })
    }

    /// Changes the engine, which is rten by default.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether this is the built-in model, which needs no download.
    pub fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn)
    }

    /// Returns the name of the model, with its precision if that is not fp32.
    pub fn name(&self) -> String {
        let name = match &self.place {
            Place::BuiltIn => return BUILT_IN.to_owned(),
            Place::Folder(path) => {
                path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
            }
            Place::Hub { model, .. } => model.clone(),
        };
        match self.precision {
            Precision::Fp32 => name,
            Precision::Fp16 | Precision::Int8 => format!("{name} ({})", self.precision),
        }
    }

    /// Downloads missing files and loads the model on a blocking thread.
    pub(super) async fn load(&self) -> Result<Arc<Towers>, EmbedError> {
        let (name, precision, engine) = (self.name(), self.precision, self.engine.clone());
        let folder = match &self.place {
            Place::BuiltIn => return blocking(move || built_in::towers(&engine)).await,
            Place::Folder(path) => path.clone(),
            Place::Hub { hub, repo, model } => {
                if *model != repo.to_string() {
                    tracing::info!(model, export = %repo, "the ONNX export of this model is used");
                }
                self.fetch(hub, repo).await?
            }
        };
        blocking(move || folder::load(&folder, name, precision, &engine).map(Arc::new)).await
    }

    /// Returns the folder in the cache, and downloads missing files. Makes no network call if all files exist.
    async fn fetch(&self, hub: &Hub, repo: &Repo) -> Result<PathBuf, EmbedError> {
        let complete = |folder: &PathBuf| {
            let names = folder::list(folder).unwrap_or_default();
            let files = ModelFiles::find_exact(&names, self.precision);
            files.and_then(|files| files.missing(folder)).is_ok_and(|missing| missing.is_empty())
        };
        if let Some(folder) = hub.cached(repo).filter(complete) {
            return Ok(folder);
        }
        let missing = |names: &[String], folder: &Path| ModelFiles::find(names, self.precision)?.missing(folder);
        Ok(hub.fetch(repo, missing).await?)
    }
}

/// Whether the text has the form of a path, even if the path does not exist.
fn is_path(text: &str) -> bool {
    text.starts_with(['.', '/', '~']) || text.contains('\\') || text.matches('/').count() > 1
}

/// Returns the repository with the towers, with the given revision.
fn export_of(model: &str) -> String {
    let (id, revision) = model.split_once('@').map_or((model, None), |(id, revision)| (id, Some(revision)));
    match (ONNX_EXPORTS.iter().find(|(weights, _)| *weights == id), revision) {
        (Some((_, export)), None) => (*export).to_owned(),
        // A revision of the weights is not a revision of the export.
        _ => model.to_owned(),
    }
}

async fn blocking<T: Send + 'static>(
    load: impl FnOnce() -> Result<T, EmbedError> + Send + 'static,
) -> Result<T, EmbedError> {
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.map_err(|_| unusable("loading the model panicked; the log has the details".to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(model: &str) -> Result<Source, EmbedError> {
        let settings = EmbedSettings { clip_model: model.to_owned(), ..EmbedSettings::default() };
        Source::from_settings(&settings, &HubSettings { hf_home: "/nowhere".to_owned(), ..HubSettings::default() })
    }

    fn repo(model: &str) -> String {
        match source(model).unwrap().place {
            Place::Hub { repo, .. } => repo.to_string(),
            other => panic!("{model} is {other:?}"),
        }
    }

    #[test]
    fn a_name_is_the_built_in_model_a_folder_or_a_repository() {
        assert!(source("glimpse-mini-1").unwrap().is_built_in());
        for path in ["/models/clip", "./clip", "models/clip/vit-b-32", env!("CARGO_MANIFEST_DIR"), "src"] {
            assert!(matches!(source(path).unwrap().place, Place::Folder(_)), "{path}");
        }
        assert_eq!(repo("laion/some-clip"), "laion/some-clip");
        let error = source("vit-b-32").unwrap_err().to_string();
        assert!(error.contains("CLIP_MODEL") && error.contains("organisation/name"), "{error}");
    }

    #[test]
    fn well_known_weights_come_from_their_export() {
        assert_eq!(repo("openai/clip-vit-base-patch32"), "Xenova/clip-vit-base-patch32");
        assert_eq!(repo("openai/clip-vit-base-patch32@abc"), "openai/clip-vit-base-patch32@abc");
        assert_eq!(source("openai/clip-vit-base-patch32").unwrap().name(), "openai/clip-vit-base-patch32");
    }

    #[test]
    fn int8_is_part_of_the_name() {
        assert_eq!(Source::folder("/models/clip", Precision::Int8).name(), "clip (int8)");
    }
}
