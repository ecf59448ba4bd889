//! What a service leaves to its clients: it knows the model, but not how its clients make squares of images, and some
//! services prepare texts differently from the training of the model.

use serde::{Deserialize, Serialize};

use super::CatalogueModel;
use crate::imaging::Preprocessing;
use crate::models::clean::Cleaning;

/// How texts are prepared for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ServiceTexts {
    /// SigLIP: lower case without punctuation, padded to 64 tokens.
    #[serde(rename = "canonical-64")]
    Siglip,
    /// SigLIP 2: lower case, padded to 64 tokens.
    #[serde(rename = "lower-64")]
    Siglip2,
}

/// How images and texts are prepared for a known model of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceRules {
    pub(crate) preprocessing: Preprocessing,
    texts: Option<ServiceTexts>,
}

impl ServiceRules {
    /// Returns the rules of the model with this name. `None` if it is not known, or is prepared like CLIP with 224
    /// pixels, which is the default.
    pub(crate) fn find(model: &str) -> Option<Self> {
        let facts = CatalogueModel::find(model)?.service.as_ref()?;
        Some(Self { preprocessing: facts.images.parse().ok()?, texts: facts.texts })
    }

    pub(crate) fn cleaning(&self) -> Cleaning {
        match self.texts {
            None => Cleaning::None,
            Some(ServiceTexts::Siglip) => Cleaning::Canonical,
            Some(ServiceTexts::Siglip2) => Cleaning::Lower,
        }
    }

    /// Returns the number of tokens to which a text must be padded, because the text tower reads the padding.
    pub(crate) fn padded_tokens(&self) -> Option<usize> {
        self.texts.map(|_| 64)
    }
}
