//! Finds the files of a model in a folder or repository.

use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::preprocessor;
use crate::embed::local::weights;

/// Precision of the numbers of the networks. Another precision gives another space, which the probes detect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Precision {
    /// 32 bits, as in the training of the model.
    #[default]
    Fp32,
    /// Weights in 16 bits, computed in 32 bits: half the download, but the speed and memory of `Fp32`.
    Fp16,
    /// Weights and most sums in 8 bits: two to three times as fast, a third of the memory.
    Int8,
}

impl Precision {
    const ALL: [Self; 3] = [Self::Fp32, Self::Fp16, Self::Int8];

    /// Returns the suffixes in the names of exports, before `.onnx`; the better export first.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Fp32 => &[""],
            Self::Fp16 => &["_fp16"],
            Self::Int8 => &["_int8", "_quantized"],
        }
    }

    /// Returns the precision that is used if a model has no files of this one.
    fn fallback(self) -> Option<Self> {
        match self {
            Self::Fp32 => Some(Self::Fp16),
            Self::Fp16 | Self::Int8 => None,
        }
    }
}

impl TryFrom<String> for Precision {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        match name.as_str() {
            "fp32" => Ok(Self::Fp32),
            "fp16" => Ok(Self::Fp16),
            "int8" => Ok(Self::Int8),
            _ => Err("it must be `fp32`, `fp16` or `int8`"),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
    }
}

/// The files of one model, as paths in its folder or repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::embed::local) struct ModelFiles {
    /// The image tower.
    pub(super) image: String,
    /// The text tower.
    pub(super) text: String,
    /// Precision of the towers: the configured one or its fallback.
    pub(super) precision: Precision,
    /// Path of `tokenizer.json`.
    pub(super) tokenizer: String,
    /// Files that may contain the values of the image processor, in order of precedence.
    pub(super) preprocessors: Vec<String>,
    /// Path of `config.json`.
    pub(super) config: String,
}

/// Folders of the towers in exports; the first with both towers is used.
const FOLDERS: [&str; 2] = ["onnx/", ""];
/// Maximum number of ONNX files in an error.
const MAX_NAMED_FILES: usize = 12;
/// Maximum characters of a file name in an error.
const MAX_NAME_CHARS: usize = 100;

impl ModelFiles {
    /// Finds the model among these paths. Towers of the fallback precision are accepted too.
    ///
    /// # Errors
    /// A message with what is missing and what exists instead.
    pub(in crate::embed::local) fn find(names: &[String], precision: Precision) -> Result<Self, String> {
        let fallback = precision.fallback().filter(|_| towers(names, precision).is_none());
        Self::find_exact(names, fallback.filter(|other| towers(names, *other).is_some()).unwrap_or(precision))
    }

    /// Finds the model with exactly this precision.
    ///
    /// # Errors
    /// As [`ModelFiles::find`].
    pub(in crate::embed::local) fn find_exact(names: &[String], precision: Precision) -> Result<Self, String> {
        let has = |name: &str| names.iter().any(|other| other == name);
        let required = |name: &str| has(name).then(|| name.to_owned()).ok_or_else(|| format!("there is no {name}"));
        let (image, text) = towers(names, precision).ok_or_else(|| {
            let other = Precision::ALL.into_iter().find(|it| towers(names, *it).is_some());
            match other {
                Some(other) => format!("there is no {precision} export, only {other}; set CLIP_PRECISION={other}"),
                None => format!(
                    "there are no towers exported to ONNX: vision_model.onnx and text_model.onnx (for fp16 with the \
                     suffix _fp16, for int8 _int8 or _quantized), both in the folder or both in its folder onnx/; {}",
                    onnx_files(names)
                ),
            }
        })?;
        let preprocessors: Vec<_> =
            preprocessor::FILES.into_iter().filter(|name| has(name)).map(str::to_owned).collect();
        if preprocessors.is_empty() {
            return Err(format!("there is no {}", preprocessor::FILES.join(" and no ")));
        }
        Ok(Self {
            tokenizer: required("tokenizer.json")?,
            config: required("config.json")?,
            preprocessors,
            image,
            text,
            precision,
        })
    }

    /// Returns the files that are missing in `folder`, including files with the weights of an existing tower.
    ///
    /// # Errors
    /// A message if a tower refers to weights outside of its folder.
    pub(in crate::embed::local) fn missing(&self, folder: &Path) -> Result<Vec<String>, String> {
        let mut all = vec![self.config.clone(), self.tokenizer.clone()];
        all.extend(self.preprocessors.iter().cloned());
        if preprocessor::lacks_values(folder, &self.preprocessors) {
            all.push(preprocessor::OLD_FILE.to_owned());
        }
        for tower in [&self.image, &self.text] {
            let file = folder.join(tower);
            if file.is_file() {
                let place = tower.rsplit_once('/').map_or(String::new(), |(place, _)| format!("{place}/"));
                // A file that cannot be read gives an error later, when it is loaded.
                let locations = match weights::locations(&file) {
                    Ok(locations) => locations,
                    Err(weights::Error::Location(reason)) => return Err(format!("{tower}: {reason}")),
                    Err(weights::Error::Unreadable(_)) => Vec::new(),
                };
                all.extend(locations.into_iter().map(|location| format!("{place}{location}")));
            }
            all.push(tower.clone());
        }
        all.retain(|name| !folder.join(name).is_file());
        Ok(all)
    }
}

/// Lists the existing ONNX files for an error.
fn onnx_files(names: &[String]) -> String {
    let mut files: Vec<_> = names.iter().filter(|name| name.to_ascii_lowercase().ends_with(".onnx")).collect();
    files.sort();
    if files.is_empty() {
        return "there are no ONNX files at all".to_owned();
    }
    let cut = |name: &&String| name.chars().take(MAX_NAME_CHARS).collect::<String>();
    let named: Vec<_> = files.iter().take(MAX_NAMED_FILES).map(cut).collect();
    let more = match files.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let is_combined = |name: &&String| name.rsplit('/').next().is_some_and(|name| name.starts_with("model"));
    let has_combined = files.iter().any(is_combined);
    let combined = if has_combined { "; a single model.onnx with both towers is not supported" } else { "" };
    format!("the existing ONNX files are: {}{more}{combined}", named.join(", "))
}

/// Returns the pair of towers of one precision, with the same folder and suffix.
fn towers(names: &[String], precision: Precision) -> Option<(String, String)> {
    let pairs = FOLDERS.iter().flat_map(|place| {
        let pair = move |suffix: &&str| {
            (format!("{place}vision_model{suffix}.onnx"), format!("{place}text_model{suffix}.onnx"))
        };
        precision.suffixes().iter().map(pair)
    });
    pairs.into_iter().find(|(image, text)| names.contains(image) && names.contains(text))
}

/// Returns the paths of the files in `folder` and in its folder `onnx`; other folders are ignored.
pub(in crate::embed::local) fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for place in FOLDERS {
        let entries = match std::fs::read_dir(folder.join(place)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // Links of a cache are followed. A broken link is not a file.
            let name = entry.file_name().into_string().ok().filter(|_| entry.path().is_file());
            names.extend(name.map(|name| format!("{place}{name}")));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(towers: &[&str]) -> Vec<String> {
        let descriptions = ["config.json", "preprocessor_config.json", "tokenizer.json", "README.md"];
        descriptions.iter().chain(towers).map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn towers_are_found_in_onnx_or_beside_the_other_files() {
        let hub = names(&["onnx/vision_model.onnx", "onnx/text_model.onnx", "onnx/model.onnx", "vision_model.onnx"]);
        assert_eq!(ModelFiles::find(&hub, Precision::Fp32).unwrap().image, "onnx/vision_model.onnx");
        let flat = names(&["vision_model.onnx", "text_model.onnx"]);
        assert_eq!(ModelFiles::find(&flat, Precision::Fp32).unwrap().text, "text_model.onnx");
    }

    #[test]
    fn int8_is_found_with_either_suffix_but_only_as_a_pair() {
        let both = names(&[
            "onnx/vision_model_quantized.onnx",
            "onnx/text_model_quantized.onnx",
            "onnx/vision_model_int8.onnx",
        ]);
        let found = ModelFiles::find(&both, Precision::Int8).unwrap();
        assert_eq!(
            (&*found.image, &*found.text),
            ("onnx/vision_model_quantized.onnx", "onnx/text_model_quantized.onnx")
        );
        let error = ModelFiles::find(&both, Precision::Fp32).unwrap_err();
        assert!(error.contains("set CLIP_PRECISION=int8"), "{error}");
    }

    #[test]
    fn fp16_is_the_fallback_if_there_is_no_fp32() {
        let fp16 = ["vision_model_fp16.onnx", "text_model_fp16.onnx"];
        let fp32 = ["onnx/vision_model.onnx", "onnx/text_model.onnx"];
        let only = names(&fp16);
        let found = ModelFiles::find(&only, Precision::Fp32).unwrap();
        assert_eq!((&*found.image, found.precision), (fp16[0], Precision::Fp16));
        assert!(ModelFiles::find_exact(&only, Precision::Fp32).unwrap_err().contains("set CLIP_PRECISION=fp16"));
        assert!(ModelFiles::find(&only, Precision::Int8).unwrap_err().contains("set CLIP_PRECISION=fp16"));
        let both = names(&[fp16, fp32].concat());
        assert_eq!(ModelFiles::find(&both, Precision::Fp32).unwrap().image, fp32[0]);
        assert_eq!(ModelFiles::find(&both, Precision::Fp16).unwrap().image, fp16[0]);
    }

    #[test]
    fn an_error_names_the_missing_and_the_existing_files() {
        let error = |names: &[String]| ModelFiles::find(names, Precision::Fp32).unwrap_err();
        let none = error(&names(&["model.safetensors"]));
        assert!(none.contains("no towers exported to ONNX") && none.contains("no ONNX files at all"), "{none}");
        let other = error(&names(&["onnx/vision_model_q4.onnx", "onnx/text_model_q4.onnx", "onnx/model_bnb4.onnx"]));
        for name in
            ["onnx/vision_model_q4.onnx", "onnx/text_model_q4.onnx", "onnx/model_bnb4.onnx", "single model.onnx"]
        {
            assert!(other.contains(name), "{other}");
        }
        let many: Vec<_> = (0..500).map(|at| format!("onnx/{at}{}.onnx", "x".repeat(200))).collect();
        let many = error(&names(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        assert!(many.contains("and 488 more") && many.len() < 2_000, "{many}");
        let mut short = names(&["vision_model.onnx", "text_model.onnx"]);
        short.retain(|name| name != "tokenizer.json");
        assert_eq!(error(&short), "there is no tokenizer.json");
        short.retain(|name| name != "preprocessor_config.json");
        assert_eq!(error(&short), "there is no processor_config.json and no preprocessor_config.json");
    }
}
