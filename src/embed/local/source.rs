//! Where the model comes from: out of the binary, from a folder, or from the hub.

use std::path::{Path, PathBuf};

use super::folder::{self, Precision, Wanted};
use super::towers::Towers;
use super::unusable;
use crate::embed::hub::{Hub, HubSettings, Repo, expanded};
use crate::embed::{EmbedError, EmbedSettings};

/// The name of the model inside the binary.
pub const BUILT_IN: &str = "glimpse-mini-1";

/// Repositories whose weights others have exported to ONNX, tower by tower.
const EXPORTS: [(&str, &str); 4] = [
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
}

#[derive(Debug)]
enum Place {
    BuiltIn,
    Folder(PathBuf),
    Hub { hub: Box<Hub>, repo: Repo, asked: String },
}

impl Source {
    /// The model inside the binary.
    pub fn built_in() -> Self {
        Self { place: Place::BuiltIn, precision: Precision::Fp32 }
    }

    /// A folder with a CLIP exported to ONNX.
    pub fn folder(path: impl Into<PathBuf>, precision: Precision) -> Self {
        Self { place: Place::Folder(path.into()), precision }
    }

    /// The model that `CLIP_MODEL` means: the built-in one by its name, else a folder, else a repository of the hub.
    ///
    /// # Errors
    /// [`EmbedError::Dependency`] with a sentence that names the setting.
    pub fn of(settings: &EmbedSettings, hub: &HubSettings) -> Result<Self, EmbedError> {
        let precision = settings.precision().map_err(unusable)?;
        let asked = settings.clip_model.as_str();
        if asked == BUILT_IN {
            return Ok(Self::built_in());
        }
        // A repository's name has neither `~` nor `$` in it.
        let path = expanded(asked);
        if is_path(asked) || asked.contains('$') || path.is_dir() {
            return Ok(Self::folder(path, precision));
        }
        let repo: Repo = exported(asked).parse().map_err(|reason: String| unusable(format!("CLIP_MODEL: {reason}")))?;
        let hub = Box::new(Hub::new(hub)?);
        Ok(Self { place: Place::Hub { hub, repo, asked: asked.to_owned() }, precision })
    }

    /// Whether it loads in a moment, from what is in the process already.
    pub fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn)
    }

    /// What people call it.
    pub fn name(&self) -> String {
        let name = match &self.place {
            Place::BuiltIn => return BUILT_IN.to_owned(),
            Place::Folder(path) => {
                path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
            }
            Place::Hub { asked, .. } => asked.clone(),
        };
        match self.precision {
            Precision::Fp32 => name,
            Precision::Fp16 | Precision::Int8 => format!("{name} ({})", self.precision),
        }
    }

    /// Fetches what is not there yet, and loads it on a thread that may block.
    pub(super) async fn load(&self) -> Result<Towers, EmbedError> {
        let (name, precision) = (self.name(), self.precision);
        let folder = match &self.place {
            Place::BuiltIn => return blocking(Towers::built_in).await,
            Place::Folder(path) => path.clone(),
            Place::Hub { hub, repo, asked } => {
                if *asked != repo.to_string() {
                    tracing::info!(model = asked, export = %repo, "the weights of this model, exported to ONNX by others");
                }
                self.fetched(hub, repo).await?
            }
        };
        blocking(move || folder::load(&folder, name, precision)).await
    }

    /// Out of the cache if all is there: then nobody is asked, on the network or off it.
    async fn fetched(&self, hub: &Hub, repo: &Repo) -> Result<PathBuf, EmbedError> {
        let complete = |folder: &PathBuf| {
            let names = folder::list(folder).unwrap_or_default();
            let wanted = Wanted::exactly(&names, self.precision);
            wanted.and_then(|wanted| wanted.missing(folder)).is_ok_and(|missing| missing.is_empty())
        };
        if let Some(folder) = hub.cached(repo).filter(complete) {
            return Ok(folder);
        }
        let missing = |names: &[String], folder: &Path| Wanted::among(names, self.precision)?.missing(folder);
        Ok(hub.fetch(repo, missing).await?)
    }
}

/// Written as a path, whether or not anything is there.
fn is_path(text: &str) -> bool {
    text.starts_with(['.', '/', '~']) || text.contains('\\') || text.matches('/').count() > 1
}

/// The repository that has the towers, with the revision that was asked for.
fn exported(asked: &str) -> String {
    let (id, revision) = asked.split_once('@').map_or((asked, None), |(id, revision)| (id, Some(revision)));
    match (EXPORTS.iter().find(|(weights, _)| *weights == id), revision) {
        (Some((_, export)), None) => (*export).to_owned(),
        // A revision of the weights is none of their export.
        _ => asked.to_owned(),
    }
}

async fn blocking<T: Send + 'static>(
    load: impl FnOnce() -> Result<T, EmbedError> + Send + 'static,
) -> Result<T, EmbedError> {
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.map_err(|_| unusable("its loader panicked; see the log".to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(model: &str) -> Result<Source, EmbedError> {
        let settings = EmbedSettings { clip_model: model.to_owned(), ..EmbedSettings::default() };
        Source::of(&settings, &HubSettings { hf_home: "/nowhere".to_owned(), ..HubSettings::default() })
    }

    fn repo(model: &str) -> String {
        match place(model).unwrap().place {
            Place::Hub { repo, .. } => repo.to_string(),
            other => panic!("{model} is {other:?}"),
        }
    }

    #[test]
    fn a_name_is_the_built_in_model_a_folder_or_a_repository() {
        assert!(place("glimpse-mini-1").unwrap().is_built_in());
        for path in ["/models/clip", "./clip", "models/clip/vit-b-32", env!("CARGO_MANIFEST_DIR"), "src"] {
            assert!(matches!(place(path).unwrap().place, Place::Folder(_)), "{path}");
        }
        assert_eq!(repo("laion/some-clip"), "laion/some-clip");
        let said = place("vit-b-32").unwrap_err().to_string();
        assert!(said.contains("CLIP_MODEL") && said.contains("organisation/name"), "{said}");
    }

    #[test]
    fn the_well_known_weights_come_from_their_export() {
        assert_eq!(repo("openai/clip-vit-base-patch32"), "Xenova/clip-vit-base-patch32");
        assert_eq!(repo("openai/clip-vit-base-patch32@abc"), "openai/clip-vit-base-patch32@abc");
        assert_eq!(place("openai/clip-vit-base-patch32").unwrap().name(), "openai/clip-vit-base-patch32");
    }

    #[test]
    fn int8_is_part_of_the_name() {
        assert_eq!(Source::folder("/models/clip", Precision::Int8).name(), "clip (int8)");
    }
}
