//! What an embedder must know about an image-text model: its files, how images and texts are prepared, and which output
//! is the vector. It is read from the model's own description files; a table holds what these files do not say.
//!
//! Refuses every preparation that is not supported, with its name. With a wrong preparation a model would still return
//! vectors, and the error would not be noticed.

mod catalogue;
mod descriptions;
mod exceptions;
mod family;
mod files;
mod image;
mod json;
pub(crate) mod lfs_pointer;
pub(crate) mod naflex;
mod pooling;
mod precision;
mod repositories;
mod text;

pub(crate) use catalogue::{
    CatalogueModel, CommercialUse, Languages, Recommendation, ServiceRules, catalogue, restricted_licence,
    similar_names,
};
pub(crate) use descriptions::{Descriptions, read_json};
pub(crate) use files::{Layout, ModelFiles, TowerFiles, list};
pub(crate) use image::ImageSpec;
pub(crate) use pooling::Pooling;
pub use precision::Precision;
pub(crate) use repositories::{export_of, text_repository};
#[cfg(test)]
pub(crate) use text::Cleaning;
pub(crate) use text::{PadToken, TextSpec};

use family::Family;

/// Which outputs of a network may be the vector, besides those that are named as a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputRule {
    /// Whether `pooler_output` is the vector. For CLIP it is not, because it is not projected.
    pub(crate) pooler: bool,
    pub(crate) hidden: Option<Pooling>,
}

/// Everything that must be known to run a model, except for what its networks say themselves: the names and types of
/// inputs and outputs, and fixed lengths.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelSpec {
    /// Number of values in a vector, if the files contain it.
    pub(crate) dimension: Option<usize>,
    pub(crate) image: ImageSpec,
    /// The file from which it was read.
    pub(crate) image_file: &'static str,
    pub(crate) text: TextSpec,
    pub(crate) image_output: OutputRule,
    pub(crate) text_output: OutputRule,
    /// Whether the values of a text's vector get the mean 0 and the variance 1 before its length becomes 1.
    pub(crate) text_layer_norm: bool,
}

/// Upper limit, far above any model. A larger number is an error in the file and would need much memory.
const MAX_DIMENSION: u64 = 16_384;

impl ModelSpec {
    /// Reads the description files of both towers. `repository` is the name of the repository or folder, for what the
    /// files do not say.
    ///
    /// # Errors
    /// A message with the file, the key and the value that is not supported.
    pub(crate) fn read(
        repository: &str,
        layout: Layout,
        image: &Descriptions,
        text: &Descriptions,
    ) -> Result<Self, String> {
        let family = Family::find(repository, layout, image)?;
        let rules = family.rules();
        let (image_spec, image_file) = ImageSpec::read(&family, layout, image)?;
        let mut spec = Self {
            dimension: family.dimension(image)?,
            image: image_spec,
            image_file,
            text: TextSpec::read(&family, layout, text)?,
            image_output: rules.image,
            text_output: rules.text.with_pooling_of(text)?,
            text_layer_norm: rules.text_layer_norm,
        };
        exceptions::apply(repository, &family, &mut spec);
        Ok(spec)
    }
}

#[cfg(test)]
mod repositories_tests;
