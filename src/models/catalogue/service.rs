//! What a service leaves to its clients: it knows the model, but not how its clients make squares of images, and some
//! services prepare texts differently from the training of the model.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::CatalogueModel;
use crate::imaging::Preprocessing;
use crate::models::text::Cleaning;

/// Number of words in a text that certainly has the 64 tokens to which the text towers are padded.
const LONG_TEXT_WORDS: usize = 128;

/// The preparation of CLIP with 224 pixels, with any rounding.
const DEFAULT_PREPROCESSING: &str = "crop-224-bicubic";

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
    /// Returns the rules of the model with this name: one of the catalogue, or a SigLIP with the kind of name that Google
    /// gives. `None` if it is not known, or is prepared like CLIP with 224 pixels, which is the default.
    pub(crate) fn find(model: &str) -> Option<Self> {
        let Some(known) = CatalogueModel::find(model) else { return Self::for_siglip(model) };
        if let Some(facts) = &known.service {
            return Some(Self { preprocessing: facts.images.parse().ok()?, texts: facts.texts });
        }
        let is_default = known.preprocessing.starts_with(DEFAULT_PREPROCESSING) || known.repository.is_none();
        let preprocessing = known.preprocessing.parse().ok().filter(|_| !is_default)?;
        Some(Self { preprocessing, texts: None })
    }

    /// Returns the rules of a name such as `google/siglip2-so400m-patch14-384`: the number after the patch is the size.
    fn for_siglip(model: &str) -> Option<Self> {
        let name = model.rsplit('/').next()?.split('@').next()?.to_lowercase();
        let (texts, filter) = match name.split('-').next()? {
            "siglip" => (ServiceTexts::Siglip, "bicubic"),
            "siglip2" => (ServiceTexts::Siglip2, "bilinear"),
            _ => return None,
        };
        let (_, after_patch) = name.split_once("-patch")?;
        let size: u32 = after_patch.split('-').nth(1)?.parse().ok()?;
        Some(Self { preprocessing: format!("squash-{size}-{filter}").parse().ok()?, texts: Some(texts) })
    }

    pub(crate) fn cleaning(&self) -> Cleaning {
        match self.texts {
            None => Cleaning::None,
            Some(ServiceTexts::Siglip) => Cleaning::Canonical,
            Some(ServiceTexts::Siglip2) => Cleaning::Lower,
        }
    }

    /// Returns what is sent for one text: the text itself, and a long one. Services pad the texts of a request to the
    /// longest one, and these text towers read the padding: with the long text, the first one is padded to the number of
    /// tokens with which the model was trained. `None` if the cleaning leaves nothing of the text.
    pub(crate) fn texts<'a>(&self, text: &'a str) -> Option<Vec<Cow<'a, str>>> {
        let cleaned = self.cleaning().apply(text);
        match self.texts {
            None => Some(vec![cleaned]),
            Some(_) if cleaned.trim().is_empty() => None,
            Some(_) => Some(vec![cleaned, Cow::Owned("a ".repeat(LONG_TEXT_WORDS))]),
        }
    }
}
