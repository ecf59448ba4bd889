//! Finds the files of a model among the paths of a folder or repository.

mod list;
mod missing;

use super::descriptions::{NAMES, OPEN_CLIP_CONFIG, PREPROCESS_CFG, PREPROCESSOR, PROCESSOR, TOKENIZER};
use super::precision::Precision;

pub(crate) use list::list;

/// How a publisher arranges the files of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `vision_model.onnx` and `text_model.onnx` (transformers.js, optimum).
    Towers,
    /// `visual/model.onnx` and `textual/model.onnx`.
    Immich,
    /// `visual.onnx` and `text.onnx`.
    OpenClip,
    /// `image.onnx` and `text.onnx`.
    ShortNames,
    /// `vision/model.onnx` and `text/model.onnx`: two repositories, one for each tower.
    Folders,
    /// `model.onnx` with both towers.
    Combined,
}

impl Layout {
    /// Names of the towers without their suffix; the layout with the first match is used.
    const TOWERS: [(Self, &'static str, &'static str); 7] = [
        (Self::Towers, "vision_model", "text_model"),
        (Self::Immich, "visual/model", "textual/model"),
        (Self::OpenClip, "visual", "text"),
        (Self::ShortNames, "image", "text"),
        (Self::Folders, "vision/onnx/model", "text/onnx/model"),
        (Self::Folders, "vision/model", "text/model"),
        (Self::Combined, "model", "model"),
    ];

    /// Returns the arrangement in words.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Towers => "vision_model.onnx and text_model.onnx (transformers.js, optimum)",
            Self::Immich => "visual/model.onnx and textual/model.onnx (immich)",
            Self::OpenClip => "visual.onnx and text.onnx (OpenCLIP)",
            Self::ShortNames => "image.onnx and text.onnx",
            Self::Folders => "a folder or repository for each tower",
            Self::Combined => "model.onnx with both towers",
        }
    }

    /// Whether OpenCLIP made the export.
    pub(super) fn is_of_open_clip(self) -> bool {
        matches!(self, Self::Immich | Self::OpenClip)
    }
}

/// Folders in which towers are expected. A sentence-transformers model has its files in the last ones.
const PLACES: [&str; 4] = ["onnx/", "", "0_CLIPModel/onnx/", "0_CLIPModel/"];
/// Folders of sentence-transformers with description files.
const MODULES: &str = "0_CLIPModel/";
/// Description files that contain only rules for images.
const IMAGE_FILES: [&str; 3] = [PROCESSOR, PREPROCESSOR, PREPROCESS_CFG];

/// The files of one tower, as paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TowerFiles {
    pub(crate) onnx: String,
    /// The existing description files; of equal names, the nearest.
    pub(crate) descriptions: Vec<String>,
    pub(crate) tokenizer: Option<String>,
}

/// The files of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelFiles {
    pub(crate) layout: Layout,
    pub(crate) image: TowerFiles,
    pub(crate) text: TowerFiles,
    /// Precision of the towers: the configured one or its fallback.
    pub(crate) precision: Precision,
}

impl TowerFiles {
    fn new(names: &[String], onnx: String) -> Self {
        let mut places: Vec<&str> = Vec::new();
        let mut place = onnx.rsplit_once('/').map_or("", |(place, _)| place);
        while !place.is_empty() {
            places.push(place);
            place = place.rsplit_once('/').map_or("", |(place, _)| place);
        }
        let nearest = |name: &str| {
            let beside = places.iter().map(|place| format!("{place}/{name}"));
            let candidates = beside.chain([name.to_owned(), format!("{MODULES}{name}")]);
            candidates.into_iter().find(|path| names.contains(path))
        };
        let descriptions = NAMES.into_iter().filter_map(nearest).collect();
        let tokenizer = nearest(TOKENIZER);
        Self { onnx, descriptions, tokenizer }
    }

    /// Finds the only tower of a repository, in the first of these precisions that it has.
    pub(crate) fn find_single(names: &[String], accepted: &[Precision]) -> Result<Self, String> {
        let suffixes = accepted.iter().flat_map(|precision| precision.suffixes());
        let mut paths = suffixes.flat_map(|end| ["onnx/", ""].map(|place| format!("{place}model{end}.onnx")));
        let found = paths.find(|path| names.contains(path)).map(|path| Self::new(names, path));
        found.ok_or_else(|| {
            let precisions: Vec<_> = accepted.iter().map(Precision::to_string).collect();
            let files = missing::onnx_files(names);
            format!("there is no model.onnx in the precision {}; {files}", precisions.join(" or "))
        })
    }

    /// Returns all paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &String> {
        self.descriptions.iter().chain(&self.tokenizer).chain([&self.onnx])
    }

    fn describes_images(&self) -> bool {
        self.descriptions.iter().any(|path| has_name(path, &IMAGE_FILES) || has_name(path, &[OPEN_CLIP_CONFIG]))
    }

    /// Returns the files that may contain rules for texts.
    pub(crate) fn text_rules(&self) -> impl Iterator<Item = &String> {
        self.descriptions.iter().filter(|path| !has_name(path, &IMAGE_FILES)).chain(&self.tokenizer)
    }
}

fn has_name(path: &str, names: &[&str]) -> bool {
    path.rsplit('/').next().is_some_and(|name| names.contains(&name))
}

impl ModelFiles {
    /// Finds the model among these paths. Precisions that are accepted in place of the configured one are found too.
    /// `size` is the folder of one size, for repositories with several.
    ///
    /// # Errors
    /// A message with what is missing and what exists instead.
    pub(crate) fn find(names: &[String], precision: Precision, size: Option<&str>) -> Result<Self, String> {
        let found = precision.accepted().iter().find_map(|&exact| pair(names, exact, size).transpose());
        Self::complete(names, precision, size, found.transpose()?)
    }

    /// Finds the model with the preferred precision only.
    ///
    /// # Errors
    /// As [`ModelFiles::find`].
    pub(crate) fn find_exact(names: &[String], precision: Precision, size: Option<&str>) -> Result<Self, String> {
        let exact = precision.accepted().first().copied().unwrap_or(precision);
        Self::complete(names, exact, size, pair(names, exact, size)?)
    }

    fn complete(
        names: &[String],
        precision: Precision,
        size: Option<&str>,
        found: Option<Pair>,
    ) -> Result<Self, String> {
        let Some(Pair { layout, image, text, precision }) = found else {
            return Err(missing::no_towers(names, precision, size));
        };
        let (image, text) = (TowerFiles::new(names, image), TowerFiles::new(names, text));
        if text.tokenizer.is_none() {
            return Err(match layout {
                Layout::Combined => {
                    format!("there is no {TOKENIZER}, so {} is not a network with both towers", text.onnx)
                }
                _ => format!("there is no {TOKENIZER}"),
            });
        }
        if !image.describes_images() {
            return Err(format!(
                "there is no {PREPROCESSOR}, no {PROCESSOR}, no {PREPROCESS_CFG} and no {OPEN_CLIP_CONFIG}"
            ));
        }
        Ok(Self { layout, image, text, precision })
    }

    /// Fails if the model is in a folder of one size and no size was named. `names` may be only those files of a repository
    /// that were downloaded, so that one size in them says nothing about how many the repository has.
    ///
    /// # Errors
    /// A message with the sizes.
    pub(crate) fn with_named_size(self, names: &[String], size: Option<&str>) -> Result<Self, String> {
        let is_sized = sizes(names).iter().any(|size| self.image.onnx.starts_with(&format!("onnx/{size}/")));
        if size.is_none() && is_sized { Err(name_a_size(&sizes(names))) } else { Ok(self) }
    }

    /// Returns all paths; a path may be there twice.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &String> {
        self.image.paths().chain(self.text.paths())
    }
}

/// Two towers, or twice the same network.
struct Pair {
    layout: Layout,
    image: String,
    text: String,
    precision: Precision,
}

/// Returns the towers of one precision.
fn pair(names: &[String], precision: Precision, size: Option<&str>) -> Result<Option<Pair>, String> {
    let exists = |path: &String| names.contains(path);
    let in_place = |layout, place: &str, image: &str, text: &str| {
        precision.suffixes().iter().find_map(|suffix| {
            let path = |stem: &str| Some(format!("{place}{stem}{suffix}.onnx")).filter(exists);
            Some(Pair { layout, image: path(image)?, text: path(text)?, precision })
        })
    };
    if let Some(size) = size {
        let place = format!("onnx/{size}/");
        return Ok(in_place(Layout::Towers, &place, "vision_model", "text_model"));
    }
    for (layout, image, text) in Layout::TOWERS {
        for place in PLACES {
            if let Some(found) = in_place(layout, place, image, text) {
                return Ok(Some(found));
            }
        }
    }
    let sizes = sizes(names);
    let mut found = sizes.iter().filter_map(|size| pair(names, precision, Some(size)).ok().flatten());
    match (found.next(), found.next()) {
        (only, None) => Ok(only),
        (_, Some(_)) => Err(name_a_size(&sizes)),
    }
}

fn name_a_size(sizes: &[&str]) -> String {
    format!(
        "its models are in folders for each size ({}); add a size after a colon to its name (CLIP_MODEL), such as `:{}`",
        sizes.join(", "),
        sizes.first().copied().unwrap_or_default()
    )
}

/// Returns the names of the folders `onnx/*/` with an image tower.
fn sizes(names: &[String]) -> Vec<&str> {
    let sizes = names.iter().filter_map(|name| {
        let (size, file) = name.strip_prefix("onnx/")?.split_once('/')?;
        file.starts_with("vision_model").then_some(size)
    });
    let mut sizes: Vec<_> = sizes.collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests;
