//! Which files of a folder, or of a repository, are the model.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use super::preprocessor;
use crate::embed::local::weights;

/// How exact the networks' numbers are. Another precision is another space: the probes tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, as the model was trained.
    #[default]
    Fp32,
    /// Weights in 16 bits, computed in 32: half the download, and the speed and memory of `Fp32`.
    Fp16,
    /// Weights and most sums in 8 bits: two to three times as fast, a third of the memory.
    Int8,
}

impl Precision {
    const ALL: [Self; 3] = [Self::Fp32, Self::Fp16, Self::Int8];

    /// What exports call it, between the tower's name and `.onnx`; the better made one first.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Fp32 => &[""],
            Self::Fp16 => &["_fp16"],
            Self::Int8 => &["_int8", "_quantized"],
        }
    }

    /// What is used instead if a model has no files of this precision.
    fn fallback(self) -> Option<Self> {
        match self {
            Self::Fp32 => Some(Self::Fp16),
            Self::Fp16 | Self::Int8 => None,
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fp32" => Ok(Self::Fp32),
            "fp16" => Ok(Self::Fp16),
            "int8" => Ok(Self::Int8),
            other => Err(format!("CLIP_PRECISION is `{other}`; it must be `fp32`, `fp16` or `int8`")),
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

/// The files of one model, as paths inside its folder or repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::embed::local) struct Wanted {
    /// The image tower.
    pub(super) image: String,
    /// The text tower.
    pub(super) text: String,
    /// Of the towers: what was asked for, or its fallback.
    pub(super) precision: Precision,
    /// `tokenizer.json`
    pub(super) tokenizer: String,
    /// Where the image processor's values may be, the file that counts first.
    pub(super) preprocessors: Vec<String>,
    /// `config.json`
    pub(super) config: String,
}

/// Where exports put the towers; the first that has them counts.
const PLACES: [&str; 2] = ["onnx/", ""];
/// ONNX files that an error names.
const NAMED_FILES: usize = 12;
/// Longest name of a file in an error.
const NAME_CHARS: usize = 100;

impl Wanted {
    /// Finds the model among these paths; towers of the fallback precision serve too.
    ///
    /// # Errors
    /// What is missing, and what there is instead.
    pub(in crate::embed::local) fn among(names: &[String], precision: Precision) -> Result<Self, String> {
        let fallback = precision.fallback().filter(|_| towers(names, precision).is_none());
        Self::exactly(names, fallback.filter(|other| towers(names, *other).is_some()).unwrap_or(precision))
    }

    /// Finds the model of this precision alone.
    ///
    /// # Errors
    /// As [`Wanted::among`].
    pub(in crate::embed::local) fn exactly(names: &[String], precision: Precision) -> Result<Self, String> {
        let has = |name: &str| names.iter().any(|other| other == name);
        let there = |name: &str| has(name).then(|| name.to_owned()).ok_or_else(|| format!("there is no {name}"));
        let (image, text) = towers(names, precision).ok_or_else(|| {
            let other = Precision::ALL.into_iter().find(|it| towers(names, *it).is_some());
            match other {
                Some(other) => format!("there is no {precision} export, but {other}; set CLIP_PRECISION={other}"),
                None => format!(
                    "there are no towers exported to ONNX: vision_model.onnx and text_model.onnx (for fp16 with the \
                     suffix _fp16, for int8 _int8 or _quantized), both here or both under onnx/; {}",
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
            tokenizer: there("tokenizer.json")?,
            config: there("config.json")?,
            preprocessors,
            image,
            text,
            precision,
        })
    }

    /// Those of its files that `folder` lacks: also those in which a tower that is there keeps its weights.
    ///
    /// # Errors
    /// A sentence if a tower keeps weights where they must not be.
    pub(in crate::embed::local) fn missing(&self, folder: &Path) -> Result<Vec<String>, String> {
        let mut all = vec![self.config.clone(), self.tokenizer.clone()];
        all.extend(self.preprocessors.iter().cloned());
        if preprocessor::is_elsewhere(folder, &self.preprocessors) {
            all.push(preprocessor::OLD.to_owned());
        }
        for tower in [&self.image, &self.text] {
            let file = folder.join(tower);
            if file.is_file() {
                let place = tower.rsplit_once('/').map_or(String::new(), |(place, _)| format!("{place}/"));
                // A file that cannot be read is found out when it is loaded.
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

/// The ONNX files that are there instead, as many as an error can name.
fn onnx_files(names: &[String]) -> String {
    let mut files: Vec<_> = names.iter().filter(|name| name.to_ascii_lowercase().ends_with(".onnx")).collect();
    files.sort();
    if files.is_empty() {
        return "there are no ONNX files at all".to_owned();
    }
    let cut = |name: &&String| name.chars().take(NAME_CHARS).collect::<String>();
    let named: Vec<_> = files.iter().take(NAMED_FILES).map(cut).collect();
    let more = match files.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let is_whole = |name: &&String| name.rsplit('/').next().is_some_and(|name| name.starts_with("model"));
    let whole = if files.iter().any(is_whole) { "; a single model.onnx with both towers is not supported" } else { "" };
    format!("the ONNX files that are there: {}{more}{whole}", named.join(", "))
}

/// The pair of towers of one precision, from the same place and of the same kind.
fn towers(names: &[String], precision: Precision) -> Option<(String, String)> {
    let pairs = PLACES.iter().flat_map(|place| {
        let pair = move |suffix: &&str| {
            (format!("{place}vision_model{suffix}.onnx"), format!("{place}text_model{suffix}.onnx"))
        };
        precision.suffixes().iter().map(pair)
    });
    pairs.into_iter().find(|(image, text)| names.contains(image) && names.contains(text))
}

/// The paths of files in `folder` and in its `onnx`: nothing else is looked at.
pub(in crate::embed::local) fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for place in PLACES {
        let entries = match std::fs::read_dir(folder.join(place)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // Links of a cache are followed: one to nowhere is no file.
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
        let small = ["config.json", "preprocessor_config.json", "tokenizer.json", "README.md"];
        small.iter().chain(towers).map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn towers_are_found_under_onnx_or_beside_the_rest() {
        let hub = names(&["onnx/vision_model.onnx", "onnx/text_model.onnx", "onnx/model.onnx", "vision_model.onnx"]);
        assert_eq!(Wanted::among(&hub, Precision::Fp32).unwrap().image, "onnx/vision_model.onnx");
        let flat = names(&["vision_model.onnx", "text_model.onnx"]);
        assert_eq!(Wanted::among(&flat, Precision::Fp32).unwrap().text, "text_model.onnx");
    }

    #[test]
    fn int8_is_found_under_either_name_and_never_half() {
        let both = names(&[
            "onnx/vision_model_quantized.onnx",
            "onnx/text_model_quantized.onnx",
            "onnx/vision_model_int8.onnx",
        ]);
        let found = Wanted::among(&both, Precision::Int8).unwrap();
        assert_eq!(
            (&*found.image, &*found.text),
            ("onnx/vision_model_quantized.onnx", "onnx/text_model_quantized.onnx")
        );
        let said = Wanted::among(&both, Precision::Fp32).unwrap_err();
        assert!(said.contains("set CLIP_PRECISION=int8"), "{said}");
    }

    #[test]
    fn fp16_is_a_choice_and_serves_if_there_is_no_fp32() {
        let half = ["vision_model_fp16.onnx", "text_model_fp16.onnx"];
        let full = ["onnx/vision_model.onnx", "onnx/text_model.onnx"];
        let only = names(&half);
        let found = Wanted::among(&only, Precision::Fp32).unwrap();
        assert_eq!((&*found.image, found.precision), (half[0], Precision::Fp16));
        assert!(Wanted::exactly(&only, Precision::Fp32).unwrap_err().contains("set CLIP_PRECISION=fp16"));
        assert!(Wanted::among(&only, Precision::Int8).unwrap_err().contains("set CLIP_PRECISION=fp16"));
        let both = names(&[half, full].concat());
        assert_eq!(Wanted::among(&both, Precision::Fp32).unwrap().image, full[0]);
        assert_eq!(Wanted::among(&both, Precision::Fp16).unwrap().image, half[0]);
    }

    #[test]
    fn what_is_missing_is_named_with_what_is_there() {
        let said = |names: &[String]| Wanted::among(names, Precision::Fp32).unwrap_err();
        let none = said(&names(&["model.safetensors"]));
        assert!(none.contains("no towers exported to ONNX") && none.contains("no ONNX files at all"), "{none}");
        let other = said(&names(&["onnx/vision_model_q4.onnx", "onnx/text_model_q4.onnx", "onnx/model_bnb4.onnx"]));
        for name in
            ["onnx/vision_model_q4.onnx", "onnx/text_model_q4.onnx", "onnx/model_bnb4.onnx", "single model.onnx"]
        {
            assert!(other.contains(name), "{other}");
        }
        let many: Vec<_> = (0..500).map(|at| format!("onnx/{at}{}.onnx", "x".repeat(200))).collect();
        let many = said(&names(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        assert!(many.contains("and 488 more") && many.len() < 2_000, "{many}");
        let mut short = names(&["vision_model.onnx", "text_model.onnx"]);
        short.retain(|name| name != "tokenizer.json");
        assert_eq!(said(&short), "there is no tokenizer.json");
        short.retain(|name| name != "preprocessor_config.json");
        assert_eq!(said(&short), "there is no processor_config.json and no preprocessor_config.json");
    }
}
