//! Source of the model: the binary, a folder or the hub.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::built_in;
use super::engine::Engine;
use super::folder::{self, Folders, Wanted};
use super::towers::Towers;
use super::unusable;
use crate::embed::hub::{Hub, HubSettings, Repo, expand_path};
use crate::embed::{EmbedError, EmbedSettings};
use crate::models::{ModelFiles, Precision, TowerFiles, export_of, list, text_repository};

/// The name of the built-in model.
pub const BUILT_IN: &str = "glimpse-mini-1";

/// A model that can be loaded.
#[derive(Debug)]
pub struct Source {
    place: Place,
    precision: Precision,
    /// Folder of one size, for repositories with several.
    size: Option<String>,
    engine: Engine,
}

#[derive(Debug)]
enum Place {
    BuiltIn,
    Folder(PathBuf),
    Hub { hub: Box<Hub>, repo: Repo, text: Option<Repo>, model: String },
}

impl Source {
    /// Returns the built-in model.
    pub fn built_in() -> Self {
        Self { place: Place::BuiltIn, precision: Precision::Fp32, size: None, engine: Engine::default() }
    }

    /// Returns a folder with a model exported to ONNX.
    pub fn folder(path: impl Into<PathBuf>, precision: Precision) -> Self {
        Self { place: Place::Folder(path.into()), precision, size: None, engine: Engine::default() }
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
        if path.is_dir() {
            return Ok(Self::folder(path, precision).with_engine(engine));
        }
        let (name, size) = split_size(model);
        let size = size.map(str::to_owned);
        if is_path(name) || name.contains('$') {
            return Ok(Self { size, engine, ..Self::folder(expand_path(name), precision) });
        }
        let parse = |name: &str| name.parse().map_err(|reason: String| unusable(format!("CLIP_MODEL: {reason}")));
        let repo: Repo = parse(&export_of(name))?;
        let text = text_repository(repo.id()).map(parse).transpose()?;
        let hub = Box::new(Hub::new(hub)?);
        Ok(Self { place: Place::Hub { hub, repo, text, model: model.to_owned() }, precision, size, engine })
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
            Precision::Auto | Precision::Fp32 => name,
            Precision::Fp16 | Precision::Int8 => format!("{name} ({})", self.precision),
        }
    }

    /// Downloads missing files and loads the model on a blocking thread.
    pub(super) async fn load(&self) -> Result<Arc<Towers>, EmbedError> {
        let (name, engine) = (self.name(), self.engine.clone());
        if let Place::Hub { repo, model, .. } = &self.place
            && !model.starts_with(repo.id())
        {
            tracing::info!(model, export = %repo, "the ONNX export of this model is used");
        }
        let (repository, folders) = match &self.place {
            Place::BuiltIn => return blocking(move || built_in::towers(&engine)).await,
            Place::Folder(path) => (name.clone(), Folders::one(path.clone())),
            Place::Hub { hub, repo, text: None, .. } => {
                (repo.id().to_owned(), Folders::one(self.fetch(hub, repo).await?))
            }
            Place::Hub { hub, repo, text: Some(text), .. } => {
                let (image, text) = (self.fetch_tower(hub, repo).await?, self.fetch_tower(hub, text).await?);
                (repo.id().to_owned(), Folders::pair(image, text))
            }
        };
        let wanted = Wanted { name, repository, precision: self.precision, size: self.size.clone(), engine };
        blocking(move || folder::load(&folders, &wanted).map(Arc::new)).await
    }

    /// Returns the folder in the cache, and downloads missing files. Makes no network call if all files exist.
    async fn fetch(&self, hub: &Hub, repo: &Repo) -> Result<PathBuf, EmbedError> {
        let (precision, size) = (self.precision, self.size.as_deref());
        let complete = |names: &[String], folder: &Path| {
            folder::missing(ModelFiles::find_exact(names, precision, size)?.paths(), folder)
        };
        let missing = |names: &[String], folder: &Path| {
            folder::missing(ModelFiles::find(names, precision, size)?.paths(), folder)
        };
        fetch(hub, repo, complete, missing).await
    }

    /// Does the same for a repository with only one tower.
    async fn fetch_tower(&self, hub: &Hub, repo: &Repo) -> Result<PathBuf, EmbedError> {
        let accepted = self.precision.accepted();
        let find = |accepted: &'static [Precision]| {
            move |names: &[String], folder: &Path| {
                folder::missing(TowerFiles::find_single(names, accepted)?.paths(), folder)
            }
        };
        fetch(hub, repo, find(&accepted[..1]), find(accepted)).await
    }
}

/// Returns the folder in the cache if `complete` finds all files there, or downloads the missing ones.
async fn fetch(
    hub: &Hub,
    repo: &Repo,
    complete: impl Fn(&[String], &Path) -> Result<Vec<String>, String>,
    missing: impl Fn(&[String], &Path) -> Result<Vec<String>, String>,
) -> Result<PathBuf, EmbedError> {
    let is_complete =
        |folder: &PathBuf| complete(&list(folder).unwrap_or_default(), folder).is_ok_and(|missing| missing.is_empty());
    match hub.cached(repo).filter(is_complete) {
        Some(folder) => Ok(folder),
        None => Ok(hub.fetch(repo, missing).await?),
    }
}

/// Whether the text has the form of a path, even if the path does not exist.
fn is_path(text: &str) -> bool {
    text.starts_with(['.', '/', '~']) || text.contains('\\') || text.matches('/').count() > 1
}

/// Splits the name of a size from the name of a model: `organisation/name:s2`.
fn split_size(model: &str) -> (&str, Option<&str>) {
    let is_size = |size: &str| {
        !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match model.rsplit_once(':') {
        Some((name, size)) if is_size(size) && name.len() > 1 => (name, Some(size)),
        _ => (model, None),
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
    fn a_size_and_the_repository_of_the_text_tower_are_found() {
        let sized = source("plhery/mobileclip2-onnx:s2").unwrap();
        assert_eq!(
            (sized.size.as_deref(), repo("plhery/mobileclip2-onnx:s2")),
            (Some("s2"), "plhery/mobileclip2-onnx".into())
        );
        assert_eq!(split_size("a/b@main:l14"), ("a/b@main", Some("l14")));
        assert_eq!((split_size("C:\\clip"), split_size("a/b")), (("C:\\clip", None), ("a/b", None)));
        match source("Qdrant/clip-ViT-B-32-vision").unwrap().place {
            Place::Hub { text: Some(text), .. } => assert_eq!(text.id(), "Qdrant/clip-ViT-B-32-text"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn int8_is_part_of_the_name() {
        assert_eq!(Source::folder("/models/clip", Precision::Int8).name(), "clip (int8)");
    }
}
