//! The text towers of SigLIP and SigLIP 2. Both have the same `config.json`, and many exports have no
//! `tokenizer_config.json`, but their tokenizers differ: SigLIP has the Unigram tokenizers of T5 and mT5, SigLIP 2 that
//! of Gemma (BPE). A SigLIP with the rules of the other version returns vectors with a cosine of 0.6 to 0.9 to the right
//! ones.

use serde_json::Value;

use super::tokenizer_file::Algorithm;
use super::{Cleaning, PadToken};
use crate::models::descriptions::{Descriptions, TOKENIZER, TOKENIZER_CONFIG};
use crate::models::json::given;

/// The generation of a SigLIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Version {
    /// Finds the version by the tokenizer. Fails if `tokenizer_config.json` is that of the other version.
    pub(super) fn find(files: &Descriptions) -> Result<Self, String> {
        let algorithm = files.algorithm().ok_or_else(|| format!("there is no {TOKENIZER}"))?;
        let version = match algorithm {
            Algorithm::Unigram => Self::One,
            Algorithm::Bpe => Self::Two,
            Algorithm::WordPiece | Algorithm::Other => {
                return Err(format!(
                    "{TOKENIZER}: its model is {}; a SigLIP has a Unigram tokenizer and a SigLIP 2 a BPE tokenizer",
                    algorithm.name()
                ));
            }
        };
        let stated =
            |key: &str| files.get(TOKENIZER_CONFIG).and_then(|config| given(config, key)).and_then(Value::as_str);
        if let Some(class) = stated("tokenizer_class").filter(|class| version.contradicts(class)) {
            return Err(format!(
                "{TOKENIZER_CONFIG}: tokenizer_class is {class:?}, but {TOKENIZER} is {}, as that of a {}; both files must \
                 be from one model",
                algorithm.name(),
                version.name()
            ));
        }
        let pad = version.pad_token();
        match files.token("pad_token").filter(|stated| *stated != pad) {
            Some(other) => Err(format!(
                "{TOKENIZER_CONFIG}: pad_token is {other:?}; a {} was trained with {pad:?}",
                version.name()
            )),
            None => Ok(version),
        }
    }

    /// Whether a class of transformers belongs to the other version. Other classes belong to none.
    fn contradicts(self, class: &str) -> bool {
        match self {
            Self::One => class.starts_with("Gemma") || class.starts_with("Siglip2"),
            Self::Two => class.starts_with("SiglipTokenizer"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::One => "SigLIP",
            Self::Two => "SigLIP 2",
        }
    }

    fn pad_token(self) -> &'static str {
        match self {
            Self::One => "</s>",
            Self::Two => "<pad>",
        }
    }

    pub(super) fn pad(self) -> PadToken {
        PadToken::Name(self.pad_token().to_owned())
    }

    /// transformers removes the punctuation for the first version only.
    pub(super) fn cleaning(self) -> Cleaning {
        match self {
            Self::One => Cleaning::Canonical,
            Self::Two => Cleaning::Lower,
        }
    }
}
