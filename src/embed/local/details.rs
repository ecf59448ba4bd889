//! What is known about a loaded model: its files, and the rules that were read from them.

use serde::Serialize;

use crate::models::{ImageSpec, ModelFiles, ModelSpec, Precision, TextSpec, TowerFiles};

/// The files of a model and the rules that they contain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelDetails {
    /// How the publisher arranges the files.
    pub layout: &'static str,
    /// Precision of the networks.
    pub precision: Precision,
    /// The image tower.
    pub image: TowerDetails,
    /// The text tower.
    pub text: TowerDetails,
}

/// The files of one tower, and how its inputs are prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TowerDetails {
    /// Path of the network.
    pub network: String,
    /// How inputs are prepared.
    pub rules: String,
    /// The files with these rules. What they leave out is a default of the family or in the table of exceptions.
    pub read_from: Vec<String>,
}

impl ModelDetails {
    pub(super) fn new(files: &ModelFiles, spec: &ModelSpec) -> Self {
        let ModelFiles { layout, image, text, precision } = files;
        let tower = |files: &TowerFiles, rules, read_from: Vec<&String>| TowerDetails {
            network: files.onnx.clone(),
            rules,
            read_from: read_from.into_iter().cloned().collect(),
        };
        let image_files = image.descriptions.iter().filter(|path| path.rsplit('/').next() == Some(spec.image_file));
        Self {
            layout: layout.description(),
            precision: *precision,
            image: tower(image, image_rules(&spec.image), image_files.collect()),
            text: tower(text, text_rules(&spec.text), text.text_rules().collect()),
        }
    }
}

fn image_rules(ImageSpec { preprocessing, mean, std, .. }: &ImageSpec) -> String {
    let numbers = |values: &[f32; 3]| values.map(|value| format!("{value:.3}")).join(" ");
    format!("{preprocessing}, mean {}, deviation {}", numbers(mean), numbers(std))
}

fn text_rules(spec: &TextSpec) -> String {
    let length = if spec.pads_to_context { "padded to" } else { "at most" };
    let mut rules = vec![format!("{length} {} tokens", spec.context)];
    let cleaning = spec.cleaning.name().trim_start_matches('+');
    rules.extend((!cleaning.is_empty()).then(|| format!("cleaned by the rule `{cleaning}`")));
    rules.extend((!spec.prefix.is_empty()).then(|| format!("with the prefix `{}`", spec.prefix.trim_end())));
    rules.extend(spec.language.map(|code| format!("with a language, `{code}` by default")));
    rules.join(", ")
}
