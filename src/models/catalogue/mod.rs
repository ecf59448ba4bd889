//! The catalogue: known image-text models with a short name, what they cost, how good they are and what their licence
//! allows. The facts are published by others; what was not verified is marked.

mod service;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::domain::nearest;
use crate::imaging::Preprocessing;

use super::export_of;
use super::precision::Precision;
pub(crate) use service::ServiceRules;

/// The data file. It contains only facts with a source.
const FILE: &str = include_str!("catalogue.json");
/// The revision that is downloaded if the file gives none.
const MAIN: &str = "main";
/// Maximum number of names that are suggested for an unknown one.
const MAX_SUGGESTIONS: usize = 3;

/// One model of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogueModel {
    /// Short name, which `CLIP_MODEL` accepts.
    pub(crate) name: String,
    pub(crate) title: String,
    /// The repository with an ONNX export, with `:size` at the end if needed; `None` for the model inside the binary.
    pub(crate) repository: Option<String>,
    /// The branch, tag or commit of the repository that is downloaded.
    #[serde(default = "main_revision")]
    pub(crate) revision: String,
    /// Other repositories with the same weights.
    #[serde(default)]
    pub(crate) weights: Vec<String>,
    pub(crate) recommended: Option<Recommendation>,
    /// Number of values in a vector.
    pub(crate) dimension: usize,
    /// Name of the preparation of images.
    pub(crate) preprocessing: String,
    /// What a service with these weights needs from its clients, if it differs from CLIP.
    pub(crate) service: Option<ServiceFacts>,
    /// Bytes of both towers.
    #[serde(default)]
    pub(crate) bytes: ModelBytes,
    /// Number of parameters of both towers, in millions.
    pub(crate) params_millions: Option<u32>,
    pub(crate) gflops: Option<Gflops>,
    pub(crate) languages: Languages,
    pub(crate) licence: Option<String>,
    /// Whether the licence allows commercial use, if it is known.
    pub(crate) commercial_use: Option<CommercialUse>,
    #[serde(default)]
    pub(crate) quality: Quality,
    pub(crate) notes: Option<String>,
    /// The names of the fields that were not verified.
    #[serde(default)]
    pub(crate) unverified: Vec<String>,
}

fn main_revision() -> String {
    MAIN.to_owned()
}

/// What a recommended model is recommended for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Recommendation {
    /// An old CPU, English texts.
    Small,
    /// Most users.
    Default,
    /// The best results, with a GPU.
    Best,
}

/// Names of the preparation of images and texts, see [`ServiceRules`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceFacts {
    images: String,
    texts: Option<service::ServiceTexts>,
}

/// Bytes of both towers in each precision; those that are not known are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ModelBytes {
    fp32: Option<u64>,
    fp16: Option<u64>,
    int8: Option<u64>,
}

impl ModelBytes {
    /// Returns the bytes of the files that are used with this setting.
    pub(crate) fn get(&self, precision: Precision) -> Option<u64> {
        match precision {
            Precision::Auto | Precision::Fp32 => self.fp32,
            Precision::Fp16 => self.fp16,
            Precision::Int8 => self.int8,
            Precision::Q4 => None,
        }
    }
}

/// Work for one image and for one text, in 10^9 operations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gflops {
    pub(crate) image: f64,
    pub(crate) text: f64,
}

/// The languages of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Languages {
    English,
    #[serde(rename = "many")]
    Many,
}

/// Whether a licence allows commercial use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CommercialUse {
    Allowed,
    Forbidden,
}

/// Published results in percent; those that are not known are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Quality {
    /// COCO, text to image, recall@1.
    pub(crate) coco: Option<f64>,
    /// Flickr30k, text to image, recall@1.
    pub(crate) flickr30k: Option<f64>,
    /// INQUIRE, mAP@50: 250 expert queries in 5 million nature photos.
    pub(crate) inquire: Option<f64>,
    /// Crossmodal-3600, text to image, recall@1, mean of 36 languages.
    pub(crate) xm3600: Option<f64>,
}

/// Returns all models; the built-in one first.
pub(crate) fn catalogue() -> &'static [CatalogueModel] {
    static MODELS: LazyLock<Vec<CatalogueModel>> =
        LazyLock::new(|| serde_json::from_str(FILE).expect("a test parses the data file"));
    &MODELS
}

impl CatalogueModel {
    /// Returns the model with this short name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        catalogue().iter().find(|model| model.name.eq_ignore_ascii_case(name))
    }

    /// Returns the model with this short name or repository, with or without a revision.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        let exported = export_of(name);
        // `organisation/name@revision:size` without the revision.
        let id = |name: &str| match name.split_once('@') {
            Some((id, rest)) => id.to_owned() + rest.find(':').map_or("", |at| &rest[at..]),
            None => name.to_owned(),
        };
        let id = |name: &str| id(name).to_lowercase();
        let wanted = [id(name), id(&exported)];
        Self::named(name).or_else(|| {
            catalogue().iter().find(|model| model.repositories().any(|repository| wanted.contains(&id(repository))))
        })
    }

    /// Returns the repository with its revision and size, as `CLIP_MODEL` accepts it.
    pub(crate) fn reference(&self) -> Option<String> {
        let repository = self.repository.as_deref()?;
        if self.revision == MAIN {
            return Some(repository.to_owned());
        }
        let (id, size) = repository.split_at(repository.find(':').unwrap_or(repository.len()));
        Some(format!("{id}@{}{size}", self.revision))
    }

    fn repositories(&self) -> impl Iterator<Item = &String> {
        self.repository.iter().chain(&self.weights)
    }

    /// Whether the value of this field was not verified.
    pub(crate) fn is_unverified(&self, field: &str) -> bool {
        self.unverified.iter().any(|name| name == field)
    }

    /// Returns the licence, if it forbids commercial use.
    pub(crate) fn restricted_licence(&self) -> Option<&str> {
        let is_forbidden = self.commercial_use == Some(CommercialUse::Forbidden);
        self.licence.as_deref().filter(|_| is_forbidden)
    }

    /// Returns the side of an image in pixels.
    pub(crate) fn image_size(&self) -> Option<u32> {
        self.preprocessing.parse::<Preprocessing>().ok().map(|preprocessing| preprocessing.size)
    }
}

/// Licences that forbid commercial use, by a part of the names of all models with these weights.
const RESTRICTED: [(&str, &str); 2] = [("mobileclip", "Apple, for research only"), ("jina-clip-v2", "CC-BY-NC-4.0")];

/// Returns the licence of the model with this name if it forbids commercial use. Exports of others, which the catalogue
/// does not have, have the licence of their weights.
pub(crate) fn restricted_licence(name: &str) -> Option<&'static str> {
    if let Some(known) = CatalogueModel::find(name) {
        return known.restricted_licence();
    }
    let name = name.to_lowercase();
    RESTRICTED.into_iter().find(|(part, _)| name.contains(part)).map(|(_, licence)| licence)
}

/// Returns the end of an error about an unknown name: the names that may be meant.
pub(crate) fn similar_names(name: &str) -> String {
    let names = suggestions(name);
    if names.is_empty() { String::new() } else { format!("; similar names: {}", names.join(", ")) }
}

/// Returns the names that contain an unknown one, or else the nearest one.
fn suggestions(name: &str) -> Vec<&'static str> {
    let names = || catalogue().iter().map(|model| &*model.name);
    let letters = |name: &str| name.to_lowercase().replace(|char: char| !char.is_ascii_alphanumeric(), "");
    let wanted = letters(name);
    let contains = |known: &&str| wanted.len() > 2 && letters(known).contains(&wanted);
    let containing: Vec<_> = names().filter(contains).take(MAX_SUGGESTIONS).collect();
    if containing.is_empty() { nearest(name, names()).into_iter().collect() } else { containing }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
