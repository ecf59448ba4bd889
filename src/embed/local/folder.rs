//! Loads a model from its folder, or from one folder for each tower.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::details::ModelDetails;
use super::engine::{Engine, EngineKind, Network, Onnx};
use super::towers::{Networks, Towers};
use super::{unusable, weights};
use crate::embed::EmbedError;
use crate::models::{Descriptions, ModelFiles, ModelSpec, Precision, TowerFiles, list, read_json};

/// Images in one run on the CPU. Matrix products are faster with several images: a ViT-B/32 takes 52.6 ms of CPU for a single
/// image, 43.3 ms each in runs of four and 42.1 ms in runs of eight. A search waits for at most one run.
const RUN_IMAGES: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// ONNX Runtime computes both towers for each image and each text, and needs the inputs of both.
const ONE_NETWORK: &str = "CLIP_ENGINE=onnxruntime needs an export with a file for each tower, or set CLIP_ENGINE=rten";

/// The folders with the files of one model.
#[derive(Debug)]
pub(super) struct Folders {
    /// Each with the prefix of its files, which is empty if there is one folder.
    roots: Vec<(&'static str, PathBuf)>,
}

impl Folders {
    pub(super) fn one(folder: PathBuf) -> Self {
        Self { roots: vec![("", folder)] }
    }

    /// A folder for each tower, as the layout [`Layout::Folders`](crate::models::Layout::Folders) in one folder.
    pub(super) fn pair(image: PathBuf, text: PathBuf) -> Self {
        Self { roots: vec![("vision/", image), ("text/", text)] }
    }

    pub(super) fn paths(self) -> Vec<PathBuf> {
        self.roots.into_iter().map(|(_, folder)| folder).collect()
    }

    /// Returns the error of a model that cannot be used. If only the folder of one tower was named, it names the right one.
    fn unusable(&self, reason: &str) -> EmbedError {
        let place = self.roots.first().map_or(Path::new(""), |(_, folder)| &**folder);
        let both = place.parent().filter(|parent| {
            let is_tower = ["vision", "text"].iter().any(|tower| place.ends_with(tower));
            self.roots.len() == 1 && is_tower && parent.join("vision").is_dir() && parent.join("text").is_dir()
        });
        let hint = both.map_or_else(String::new, |both| {
            format!("; it is the folder of one tower: name {}, which has both (CLIP_MODEL)", both.display())
        });
        unusable(format!("the model in {}: {reason}{hint}", place.display()))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for (prefix, folder) in &self.roots {
            names.extend(list(folder)?.into_iter().map(|name| format!("{prefix}{name}")));
        }
        Ok(names)
    }

    fn path(&self, name: &str) -> PathBuf {
        let found = self.roots.iter().find_map(|(prefix, folder)| Some(folder.join(name.strip_prefix(prefix)?)));
        found.unwrap_or_else(|| PathBuf::from(name))
    }
}

/// The operator of rten has no input for zero points.
const Q4_IN_RTEN: &str = "; of 4-bit files, rten runs those without zero points (symmetric, as transformers.js has them); set another \
                          CLIP_PRECISION or CLIP_ENGINE=onnxruntime";

/// What is loaded from a folder.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The name of the space.
    pub(super) name: String,
    /// Name of the repository or folder, for what its files do not say.
    pub(super) repository: String,
    pub(super) precision: Precision,
    /// Folder of one size, for repositories with several.
    pub(super) size: Option<String>,
    pub(super) engine: Engine,
}

/// Loads the model.
pub(super) fn load(folders: &Folders, wanted: &Wanted) -> Result<Towers, EmbedError> {
    let towers = find(folders, wanted).and_then(|files| {
        let mut spec = spec(folders, &files, &wanted.repository)?;
        let mut towers = towers(folders, &files, &spec, wanted)?;
        spec.text.context = towers.context();
        towers.details = Some(ModelDetails::new(&files, &spec));
        Ok(towers)
    });
    towers.map_err(|reason| folders.unusable(&reason))
}

/// Checks that all files of the model exist and that its description is supported. Does not load the networks.
pub(super) fn inspect(folders: &Folders, wanted: &Wanted) -> Result<(), EmbedError> {
    let inspect = || {
        let files = find(folders, wanted)?;
        spec(folders, &files, &wanted.repository)?;
        for (prefix, folder) in &folders.roots {
            let own: Vec<_> = files.paths().filter_map(|path| path.strip_prefix(prefix)).map(str::to_owned).collect();
            if let [file, ..] = &missing(own.iter(), folder)?[..] {
                return Err(format!("it needs the file {file}, which is not there"));
            }
        }
        Ok(())
    };
    inspect().map_err(|reason: String| folders.unusable(&reason))
}

fn find(folders: &Folders, wanted: &Wanted) -> Result<ModelFiles, String> {
    if !folders.roots.iter().all(|(_, folder)| folder.is_dir()) {
        return Err("it does not exist; set CLIP_MODEL to a folder with a model exported to ONNX".to_owned());
    }
    let names = folders.names().map_err(|error| error.to_string())?;
    let files = ModelFiles::find(&names, wanted.precision, wanted.size.as_deref())?;
    let ModelFiles { layout, image, text, precision } = &files;
    tracing::info!(?layout, image = image.onnx, text = text.onnx, %precision, "the files of the model were found");
    Ok(files)
}

fn read(folders: &Folders, path: &String) -> Result<(String, Vec<u8>), String> {
    let bytes = read_json(&folders.path(path)).map_err(|error| format!("{path}: {error}"))?;
    Ok((path.clone(), bytes))
}

fn spec(folders: &Folders, files: &ModelFiles, repository: &str) -> Result<ModelSpec, String> {
    let describe = |tower: &TowerFiles| {
        let files = tower.descriptions.iter().map(|path| read(folders, path)).collect::<Result<Vec<_>, _>>()?;
        Descriptions::parse(files)
    };
    let text = describe(&files.text)?.with_tokenizer(&tokenizer(folders, files)?)?;
    ModelSpec::read(repository, files.layout, &describe(&files.image)?, &text)
}

fn tokenizer(folders: &Folders, files: &ModelFiles) -> Result<Vec<u8>, String> {
    let path = files.text.tokenizer.as_ref().ok_or("there is no tokenizer.json")?;
    read(folders, path).map(|(_, bytes)| bytes)
}

fn towers(folders: &Folders, files: &ModelFiles, spec: &ModelSpec, wanted: &Wanted) -> Result<Towers, String> {
    let tokenizer = tokenizer(folders, files)?;
    let network = |path: &str| -> Result<Arc<dyn Network>, String> {
        let network = wanted.engine.load(Onnx::File(folders.path(path)));
        let is_q4_in_rten = files.precision == Precision::Q4 && wanted.engine.kind() == EngineKind::Rten;
        let hint = if is_q4_in_rten { Q4_IN_RTEN } else { "" };
        network.map_err(|reason| format!("{path}: {reason}{hint}"))
    };
    let image = network(&files.image.onnx)?;
    let text = if files.text.onnx != files.image.onnx {
        network(&files.text.onnx)?
    } else if wanted.engine.runs_parts() {
        image.clone()
    } else {
        return Err(format!("{}: both towers are in one network; {ONE_NETWORK}", files.image.onnx));
    };
    let run = wanted.engine.images_per_run(RUN_IMAGES);
    Towers::new(wanted.name.clone(), spec, Networks { image, text, run }, &tokenizer, files.precision)
        .map_err(|reason| format!("{reason} ({} and {})", files.image.onnx, files.text.onnx))
}

/// Returns the files among `paths` that are missing in `folder`, including files with the weights of an existing tower.
///
/// # Errors
/// A message if a tower refers to weights outside of its folder.
pub(super) fn missing<'a>(paths: impl Iterator<Item = &'a String>, folder: &Path) -> Result<Vec<String>, String> {
    let mut all: Vec<String> = Vec::new();
    for path in paths {
        let file = folder.join(path);
        if path.to_ascii_lowercase().ends_with(".onnx") && file.is_file() {
            let place = path.rsplit_once('/').map_or(String::new(), |(place, _)| format!("{place}/"));
            // A file that cannot be read gives an error later, when it is loaded.
            let locations = match weights::locations(&file) {
                Ok(locations) => locations,
                Err(weights::Error::Location(reason)) => return Err(format!("{path}: {reason}")),
                Err(weights::Error::Unreadable(_)) => Vec::new(),
            };
            all.extend(locations.into_iter().map(|location| format!("{place}{location}")));
        }
        all.push(path.clone());
    }
    all.retain(|name| !folder.join(name).is_file());
    let mut named = HashSet::new();
    all.retain(|name| named.insert(name.clone()));
    Ok(all)
}

#[cfg(test)]
#[path = "families_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "wrong_files_tests.rs"]
mod wrong_files_tests;
