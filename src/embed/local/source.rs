//! Source of the model: the binary, a folder or the hub.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::built_in;
use super::engine::Engine;
use super::folder::{self, Folders, Wanted};
use super::towers::Towers;
use super::unusable;
use crate::embed::hub::{Hub, HubSettings, Outstanding, Repo, expand_path};
use crate::embed::{EmbedError, EmbedSettings};
use crate::models::{
    CatalogueModel, ModelFiles, Precision, TowerFiles, export_of, list, naflex, similar_names, text_repository,
};

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

    /// Returns the model of `CLIP_MODEL`.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] with a message that names the setting.
    pub fn from_settings(settings: &EmbedSettings, hub: &HubSettings) -> Result<Self, EmbedError> {
        let source = Self::find(&settings.clip_model, settings.clip_precision, hub, "CLIP_MODEL: ")?;
        Ok(source.with_engine(Engine::from_settings(settings)))
    }

    /// Returns the model with this name: the built-in model, a name of the catalogue, a folder, or a repository of the
    /// hub. A folder with a name of the catalogue is named with `./`.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] with the allowed names.
    pub fn named(model: &str, precision: Precision, hub: &HubSettings) -> Result<Self, EmbedError> {
        Self::find(model, precision, hub, "")
    }

    /// Errors about the name begin with `setting`.
    fn find(model: &str, precision: Precision, hub: &HubSettings, setting: &str) -> Result<Self, EmbedError> {
        if model == BUILT_IN {
            return Ok(Self::built_in());
        }
        let known = CatalogueModel::named(model).and_then(CatalogueModel::reference);
        // The name of a repository cannot contain `~` or `$`.
        let path = expand_path(model);
        if known.is_none() && path.is_dir() {
            return Ok(Self::folder(path, precision));
        }
        if known.is_none() && path.exists() {
            return Err(unusable(format!("{setting}{} is a file; name the folder of the model", path.display())));
        }
        let is_known = known.is_some();
        let model = known.unwrap_or_else(|| model.to_owned());
        let (name, size) = split_size(&model);
        let size = size.map(str::to_owned);
        if is_path(name) || name.contains('$') || (!is_known && expand_path(name).is_dir()) {
            return Ok(Self { size, ..Self::folder(expand_path(name), precision) });
        }
        let parse = |name: &str| {
            name.parse::<Repo>().map_err(|reason| {
                let similar = similar_names(name);
                unusable(format!("{setting}{reason}, a folder, or a name of `glimpse models list`{similar}"))
            })
        };
        let repo = parse(&export_of(name))?;
        if naflex::is_naflex(repo.id()) {
            let refusal = naflex::refusal("siglip2-base-256");
            return Err(unusable(format!("{setting}the model {} cannot be used: {refusal}", repo.id())));
        }
        let text = text_repository(repo.id()).map(parse).transpose()?;
        let (hub, engine) = (Box::new(Hub::new(hub)?), Engine::default());
        Ok(Self { place: Place::Hub { hub, repo, text, model }, precision, size, engine })
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

    /// Whether this is a folder, whatever its name.
    pub fn is_folder(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    /// Whether the folder of the model exists. Other models are not in a folder of their own.
    pub fn exists(&self) -> bool {
        match &self.place {
            Place::Folder(folder) => folder.is_dir(),
            Place::BuiltIn | Place::Hub { .. } => true,
        }
    }

    /// Whether loading the model needs no network: it is on this machine, or downloads are disabled.
    pub fn needs_no_network(&self) -> bool {
        match &self.place {
            Place::BuiltIn | Place::Folder(_) => true,
            Place::Hub { hub, .. } if hub.is_offline() => true,
            Place::Hub { hub, repo, text, .. } => {
                [Some(repo), text.as_ref()].into_iter().flatten().all(|repo| self.complete(hub, repo).is_some())
            }
        }
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
            Precision::Fp16 | Precision::Int8 | Precision::Q4 => format!("{name} ({})", self.precision),
        }
    }

    /// Downloads missing files and loads the model on a blocking thread.
    pub(super) async fn load(&self) -> Result<Arc<Towers>, EmbedError> {
        let engine = self.engine.clone();
        let Some((repository, folders)) = self.folders().await? else {
            return blocking(move || built_in::towers(&engine)).await;
        };
        let wanted = self.wanted(repository);
        blocking(move || folder::load(&folders, &wanted).map(Arc::new)).await
    }

    fn wanted(&self, repository: String) -> Wanted {
        let (name, precision, size) = (self.name(), self.precision, self.size.clone());
        Wanted { name, repository, precision, size, engine: self.engine.clone() }
    }

    /// Downloads missing files, reads what describes the model, and returns its folders. The built-in model has none.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] with what to do, also if files of a folder are missing or cannot be used.
    pub async fn download(&self) -> Result<Vec<PathBuf>, EmbedError> {
        let Some((repository, folders)) = self.folders().await? else { return Ok(Vec::new()) };
        let wanted = self.wanted(repository);
        blocking(move || folder::inspect(&folders, &wanted).map(|()| folders.paths())).await
    }

    /// Returns what [`Source::download`] would fetch.
    ///
    /// # Errors
    /// As [`Source::download`].
    pub async fn outstanding(&self) -> Result<Outstanding, EmbedError> {
        let Place::Hub { hub, repo, text, .. } = &self.place else { return Ok(Outstanding::default()) };
        let mut all = Outstanding::default();
        for repo in [Some(repo), text.as_ref()].into_iter().flatten() {
            if self.complete(hub, repo).is_none() {
                all = all.plus(hub.outstanding(repo, self.missing(Choice::Accepted)).await?);
            }
        }
        Ok(all)
    }

    /// Returns the name of the repository or folder with its folders. Downloads missing files.
    async fn folders(&self) -> Result<Option<(String, Folders)>, EmbedError> {
        if let Place::Hub { repo, model, .. } = &self.place
            && !model.starts_with(repo.id())
        {
            tracing::info!(model, export = %repo, "the ONNX export of this model is used");
        }
        Ok(Some(match &self.place {
            Place::BuiltIn => return Ok(None),
            Place::Folder(path) => (self.name(), Folders::one(path.clone())),
            Place::Hub { hub, repo, text, .. } => {
                let image = self.fetch(hub, repo).await?;
                let folders = match text {
                    None => Folders::one(image),
                    Some(text) => Folders::pair(image, self.fetch(hub, text).await?),
                };
                (repo.id().to_owned(), folders)
            }
        }))
    }

    /// Returns the folder in the cache, and downloads missing files. Makes no network call if all files exist.
    async fn fetch(&self, hub: &Hub, repo: &Repo) -> Result<PathBuf, EmbedError> {
        match self.complete(hub, repo) {
            Some(folder) => Ok(folder),
            None => Ok(hub.fetch(repo, self.missing(Choice::Accepted)).await?),
        }
    }

    /// Returns the folder in the cache if it has all files of the preferred precision.
    fn complete(&self, hub: &Hub, repo: &Repo) -> Option<PathBuf> {
        let missing = self.missing(Choice::Preferred);
        let is_complete = |folder: &PathBuf| {
            missing(&list(folder).unwrap_or_default(), folder).is_ok_and(|missing| missing.is_empty())
        };
        hub.cached(repo).filter(is_complete)
    }

    /// Returns a function that gets the names of the files that exist in a repository, and returns the files that are
    /// needed and missing in a folder.
    fn missing(&self, choice: Choice) -> impl Fn(&[String], &Path) -> Result<Vec<String>, String> {
        let is_one_tower = matches!(&self.place, Place::Hub { text: Some(_), .. });
        let (precision, size) = (self.precision, self.size.as_deref());
        move |names, folder| match (is_one_tower, choice) {
            (true, Choice::Preferred) => {
                folder::missing(TowerFiles::find_single(names, &precision.accepted()[..1])?.paths(), folder)
            }
            (true, Choice::Accepted) => {
                folder::missing(TowerFiles::find_single(names, precision.accepted())?.paths(), folder)
            }
            (false, Choice::Preferred) => folder::missing(
                ModelFiles::find_exact(names, precision, size)?.with_named_size(names, size)?.paths(),
                folder,
            ),
            (false, Choice::Accepted) => {
                folder::missing(ModelFiles::find(names, precision, size)?.with_named_size(names, size)?.paths(), folder)
            }
        }
    }
}

/// Which files of a model are looked for, if it has several precisions.
#[derive(Clone, Copy, Debug)]
enum Choice {
    /// Those of the first precision that the setting accepts.
    Preferred,
    /// Those of any precision that the setting accepts.
    Accepted,
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
#[path = "source_tests.rs"]
mod tests;
