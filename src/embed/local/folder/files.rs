//! Which files of a folder, or of a repository, are the model.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

/// How exact the networks' numbers are. Another precision is another space: the probes tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, as the model was trained.
    #[default]
    Fp32,
    /// Weights and most sums in 8 bits: two to three times as fast, a third of the memory.
    Int8,
}

impl Precision {
    /// What exports call it, between the tower's name and `.onnx`; the better made one first.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Fp32 => &[""],
            Self::Int8 => &["_int8", "_quantized"],
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fp32" => Ok(Self::Fp32),
            "int8" => Ok(Self::Int8),
            other => Err(format!("CLIP_PRECISION is `{other}`; it must be `fp32` or `int8`")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
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
    /// `tokenizer.json`
    pub(super) tokenizer: String,
    /// `preprocessor_config.json`
    pub(super) preprocessor: String,
    /// `config.json`
    pub(super) config: String,
    /// Weights that lie beside a tower's file, where an export has any.
    pub(super) weights: Vec<String>,
}

/// Where exports put the towers; the first that has them counts.
const PLACES: [&str; 2] = ["onnx/", ""];

impl Wanted {
    /// Finds the model among these paths.
    ///
    /// # Errors
    /// What is missing, and what there is instead.
    pub(in crate::embed::local) fn among(names: &[String], precision: Precision) -> Result<Self, String> {
        let has = |name: &str| names.iter().any(|other| other == name);
        let there = |name: &str| has(name).then(|| name.to_owned()).ok_or_else(|| format!("there is no {name}"));
        let (image, text) = towers(names, precision).ok_or_else(|| {
            let other = [Precision::Fp32, Precision::Int8].into_iter().find(|it| towers(names, *it).is_some());
            match other {
                Some(other) => format!("there is no {precision} export, but {other}; set CLIP_PRECISION={other}"),
                None => "there are no towers exported to ONNX (vision_model.onnx and text_model.onnx, here or under \
                         onnx/); a single model.onnx with both does not serve, since each runs without the other"
                    .to_owned(),
            }
        })?;
        let weights = [&image, &text].into_iter().flat_map(|tower| {
            let beside = format!("{tower}_data");
            names.iter().filter(move |name| name.starts_with(&beside)).cloned()
        });
        Ok(Self {
            weights: weights.collect(),
            tokenizer: there("tokenizer.json")?,
            preprocessor: there("preprocessor_config.json")?,
            config: there("config.json")?,
            image,
            text,
        })
    }

    /// All of them, weights before the towers: where a tower's file is, all of it is.
    pub(in crate::embed::local) fn all(&self) -> Vec<String> {
        let small = [&self.config, &self.preprocessor, &self.tokenizer];
        small.into_iter().chain(&self.weights).chain([&self.image, &self.text]).cloned().collect()
    }
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
    fn weights_beside_a_tower_come_before_it() {
        let large = names(&["vision_model.onnx", "vision_model.onnx_data", "text_model.onnx"]);
        let all = Wanted::among(&large, Precision::Fp32).unwrap().all();
        let at = |name: &str| all.iter().position(|other| other == name).unwrap();
        assert!(at("vision_model.onnx_data") < at("vision_model.onnx"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |names: &[String]| Wanted::among(names, Precision::Fp32).unwrap_err();
        assert!(said(&names(&["model.safetensors"])).contains("no towers exported to ONNX"));
        let mut short = names(&["vision_model.onnx", "text_model.onnx"]);
        short.retain(|name| name != "tokenizer.json");
        assert_eq!(said(&short), "there is no tokenizer.json");
    }
}
