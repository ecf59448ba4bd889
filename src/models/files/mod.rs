//! Finds the files of a model among the paths of a folder or repository.

mod list;

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
            format!("there is no model.onnx in the precision {}; {}", precisions.join(" or "), onnx_files(names))
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
        Self::complete(names, precision, found.transpose()?)
    }

    /// Finds the model with the preferred precision only.
    ///
    /// # Errors
    /// As [`ModelFiles::find`].
    pub(crate) fn find_exact(names: &[String], precision: Precision, size: Option<&str>) -> Result<Self, String> {
        let exact = precision.accepted().first().copied().unwrap_or(precision);
        Self::complete(names, exact, pair(names, exact, size)?)
    }

    fn complete(names: &[String], precision: Precision, found: Option<Pair>) -> Result<Self, String> {
        let Some(Pair { layout, image, text, precision }) = found else {
            return Err(no_towers(names, precision));
        };
        let (image, text) = (TowerFiles::new(names, image), TowerFiles::new(names, text));
        if text.tokenizer.is_none() {
            return Err(format!("there is no {TOKENIZER}"));
        }
        if !image.describes_images() {
            return Err(format!(
                "there is no {PREPROCESSOR}, no {PROCESSOR}, no {PREPROCESS_CFG} and no {OPEN_CLIP_CONFIG}"
            ));
        }
        Ok(Self { layout, image, text, precision })
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
        (_, Some(_)) => Err(format!(
            "it has a model in several sizes ({}); add one to CLIP_MODEL after a colon, such as `:{}`",
            sizes.join(", "),
            sizes[0]
        )),
    }
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

fn no_towers(names: &[String], precision: Precision) -> String {
    let other =
        Precision::OF_FILES.into_iter().find(|other| pair(names, *other, None).is_ok_and(|pair| pair.is_some()));
    if let Some(other) = other {
        return format!("there is no {precision} export, only {other}; set CLIP_PRECISION={other}");
    }
    format!(
        "there are no towers exported to ONNX: vision_model.onnx and text_model.onnx, both in the folder or both in its \
         folder onnx/ (for fp16 with the suffix _fp16, for int8 _int8 or _quantized, for q4 _q4 or _q4f16), visual/model.onnx and \
         textual/model.onnx, visual.onnx and text.onnx, or model.onnx with both; {}",
        onnx_files(names)
    )
}

/// Maximum number of ONNX files in an error.
const MAX_NAMED_FILES: usize = 12;
/// Maximum characters of a file name in an error.
const MAX_NAME_CHARS: usize = 100;

/// Lists the existing ONNX files for an error.
fn onnx_files(names: &[String]) -> String {
    let has_end = |name: &str, end: &str| name.to_ascii_lowercase().ends_with(end);
    let mut files: Vec<_> = names.iter().filter(|name| has_end(name, ".onnx")).collect();
    files.sort();
    if files.is_empty() {
        let weights = names.iter().any(|name| has_end(name, ".safetensors") || has_end(name, ".bin"));
        let weights =
            if weights { ", only weights for PyTorch; export the model with optimum or OpenCLIP" } else { "" };
        return format!("there are no ONNX files at all{weights}");
    }
    let cut = |name: &&String| name.chars().take(MAX_NAME_CHARS).collect::<String>();
    let named: Vec<_> = files.iter().take(MAX_NAMED_FILES).map(cut).collect();
    let more = match files.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("the existing ONNX files are: {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests;
