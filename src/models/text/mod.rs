//! How texts are prepared for the text tower.

mod clean;
mod siglip;
mod tokenizer_file;

use serde_json::{Map, Value};

use super::Layout;
use super::descriptions::{CONFIG, Descriptions, MODEL_CONFIG, OPEN_CLIP_CONFIG, TOKENIZER_CONFIG};
use super::family::{Family, check_range, tower_number};
use super::json::{given, quoted, whole_number};

pub(crate) use clean::Cleaning;
pub(in crate::models) use tokenizer_file::Algorithm;

/// Maximum number of tokens. Some models read 8,192, for which one text would need gigabytes of memory; no search has
/// that many.
const MAX_TOKENS: u64 = 2_048;
/// The same number, for values that are written as floats.
const MAX_TOKENS_F64: f64 = 2_048.0;
/// Context of CLIP, for files that do not contain it.
const CLIP_CONTEXT: u64 = 77;
const SIGLIP_CONTEXT: u64 = 64;
/// Minimum number of tokens: one between two special tokens.
const MIN_TOKENS: u64 = 3;

/// The token with which a text is padded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PadToken {
    Id(u32),
    /// Its name in the tokenizer.
    Name(String),
    /// The one of the padding in `tokenizer.json`.
    OfTokenizer,
}

/// How a text becomes the input of the text tower.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct TextSpec {
    /// Maximum number of tokens, including special tokens.
    pub(crate) context: usize,
    pub(crate) pad: PadToken,
    /// Whether `tokenizer_config.json` puts the padding before a text. No supported model is trained so; it is refused if
    /// texts must be padded.
    pub(crate) pads_left: bool,
    /// Number of tokens that the text tower knows, with the file that says so.
    pub(crate) vocabulary: Option<(u64, &'static str)>,
    /// Whether each text is padded to the context, because the tower reads its padding. Otherwise padding is only added
    /// if a network has a fixed length.
    pub(crate) pads_to_context: bool,
    /// Whether the vector is the row of the first end token, on which later tokens have no influence.
    pub(crate) reads_end_token: bool,
    pub(crate) cleaning: Cleaning,
    /// Text before each query.
    pub(crate) prefix: &'static str,
    /// The language that is written before a text if none is given, as FLORES code; `None` if the model needs none.
    pub(crate) language: Option<&'static str>,
    /// Whether special tokens in a text, such as `[SEP]`, are ordinary characters.
    pub(crate) special_tokens_are_text: bool,
}

impl TextSpec {
    /// Reads the rules of the text tower.
    ///
    /// # Errors
    /// A message with the file, the key and the value that is not supported.
    pub(in crate::models) fn read(family: &Family, layout: Layout, files: &Descriptions) -> Result<Self, String> {
        let pad = files.token("pad_token").map_or(PadToken::OfTokenizer, |name| PadToken::Name(name.to_owned()));
        let left = files.get(TOKENIZER_CONFIG).and_then(|config| given(config, "padding_side"));
        let base = Self {
            context: 0,
            pad,
            pads_left: left.is_some_and(|side| side == "left"),
            vocabulary: vocabulary(family, files)?,
            pads_to_context: false,
            reads_end_token: false,
            cleaning: Cleaning::None,
            prefix: "",
            language: None,
            special_tokens_are_text: false,
        };
        let mut spec = match family {
            // The pad token in the files is the end token. ArgMax of rten returns the last of equal values.
            Family::Clip => {
                Self { context: context(files, CLIP_CONTEXT)?, pad: PadToken::Id(0), reads_end_token: true, ..base }
            }
            Family::MetaClip2 => Self { context: context(files, CLIP_CONTEXT)?, reads_end_token: true, ..base },
            Family::Siglip => {
                let version = siglip::Version::find(files)?;
                Self {
                    context: context(files, SIGLIP_CONTEXT)?,
                    pad: version.pad(),
                    pads_to_context: true,
                    cleaning: version.cleaning(),
                    ..base
                }
            }
            Family::JinaClip => Self { context: context(files, MAX_TOKENS)?, ..base },
            Family::Nomic => Self { context: context(files, MAX_TOKENS)?, prefix: "search_query: ", ..base },
            Family::OpenClip(config) => open_clip(&base, config, layout)?,
        };
        if let Some(config) = files.get(MODEL_CONFIG) {
            spec.read_model_config(config).map_err(|reason| format!("{MODEL_CONFIG}: {reason}"))?;
        }
        Ok(spec)
    }

    /// Reads the facts in exports of OpenCLIP.
    fn read_model_config(&mut self, config: &Map<String, Value>) -> Result<(), String> {
        if let Some(id) = whole_number(config, "pad_id")? {
            let id = u32::try_from(id).map_err(|_| format!("pad_id is {id}; it must be the id of a token"))?;
            self.pad = PadToken::Id(id);
        }
        let lower = given(config, "tokenizer_needs_lowercase").is_some_and(|value| *value == Value::Bool(true));
        self.cleaning = match self.cleaning {
            Cleaning::None if lower => Cleaning::Lower,
            Cleaning::Spaces if lower => Cleaning::LowerSpaces,
            other => other,
        };
        Ok(())
    }
}

/// Returns the number of tokens in the files, or `default`.
fn context(files: &Descriptions, default: u64) -> Result<usize, String> {
    const KEY: &str = "max_position_embeddings";
    const LENGTH: &str = "model_max_length";
    if let Some(number) = text_number(files, KEY)? {
        let range = check_range(KEY, number.min(MAX_TOKENS), MIN_TOKENS, MAX_TOKENS);
        return range.map_err(|reason| format!("{CONFIG}: {reason}"));
    }
    let named = |reason: String| format!("{TOKENIZER_CONFIG}: {reason}");
    let length = match files.get(TOKENIZER_CONFIG).and_then(|config| given(config, LENGTH)) {
        // Some files have a number far above any model, which means that the length has no limit.
        Some(length) if length.as_f64().is_some_and(|length| length > MAX_TOKENS_F64) => None,
        Some(_) => {
            files.get(TOKENIZER_CONFIG).map_or(Ok(None), |config| whole_number(config, LENGTH)).map_err(named)?
        }
        None => None,
    };
    check_range(LENGTH, length.unwrap_or(default.min(MAX_TOKENS)), MIN_TOKENS, MAX_TOKENS).map_err(named)
}

/// Returns a number of the text tower in `config.json`.
fn text_number(files: &Descriptions, key: &str) -> Result<Option<u64>, String> {
    let Some(config) = files.get(CONFIG) else { return Ok(None) };
    let number = match tower_number(config, "text_config", key) {
        // The file of a text tower alone.
        Ok(None) if given(config, "text_config").is_none() => whole_number(config, key),
        found => found,
    };
    number.map_err(|reason| format!("{CONFIG}: {reason}"))
}

/// Returns the number of tokens that the text tower knows, and the file with it.
fn vocabulary(family: &Family, files: &Descriptions) -> Result<Option<(u64, &'static str)>, String> {
    const KEY: &str = "vocab_size";
    if let Some(config) = files.get(MODEL_CONFIG)
        && let Some(number) = whole_number(config, KEY).map_err(|reason| format!("{MODEL_CONFIG}: {reason}"))?
    {
        return Ok(Some((number, MODEL_CONFIG)));
    }
    let number = match family {
        Family::OpenClip(config) => match given(config, "text_cfg").and_then(Value::as_object) {
            Some(text) => whole_number(text, KEY).map_err(|reason| format!("text_cfg: {reason}"))?,
            None => None,
        },
        Family::Clip | Family::Siglip | Family::MetaClip2 | Family::JinaClip | Family::Nomic => {
            text_number(files, KEY)?
        }
    };
    let file = if files.nested(OPEN_CLIP_CONFIG, "model_cfg").is_some() { OPEN_CLIP_CONFIG } else { CONFIG };
    // An image tower alone has 0.
    Ok(number.filter(|number| *number > 0).map(|number| (number, file)))
}

/// Reads `text_cfg` of OpenCLIP.
fn open_clip(base: &TextSpec, config: &Map<String, Value>, layout: Layout) -> Result<TextSpec, String> {
    let empty = Map::new();
    let text = given(config, "text_cfg").and_then(Value::as_object).unwrap_or(&empty);
    let named = |key: &str| given(text, key).and_then(Value::as_str);
    let is_set = |key: &str| given(text, key).is_some_and(|value| *value == Value::Bool(true));
    let arguments = given(text, "tokenizer_kwargs").and_then(Value::as_object).unwrap_or(&empty);
    if let Some(strip) = given(arguments, "strip_sep_token").filter(|strip| **strip != Value::Bool(false)) {
        return Err(format!("tokenizer_kwargs.strip_sep_token is {}; only false is supported", quoted(strip)));
    }
    let (own_tokenizer, own_tower) = (named("hf_tokenizer_name").is_none(), named("hf_model_name").is_none());
    let pool = named("pool_type").unwrap_or("argmax");
    let is_immich = layout == Layout::Immich;
    let cleaning = match given(arguments, "clean").and_then(Value::as_str) {
        Some("canonicalize") if is_immich => Cleaning::CanonicalImmich,
        Some("canonicalize") => Cleaning::CanonicalOpenClip,
        _ if is_immich => Cleaning::Spaces,
        Some("lower") => Cleaning::LowerSpaces,
        None if own_tokenizer => Cleaning::LowerSpaces,
        Some("whitespace") | None => Cleaning::Spaces,
        Some(other) => return Err(format!("tokenizer_kwargs.clean is {other:?}; it is not known")),
    };
    let context = whole_number(text, "context_length")?.unwrap_or(CLIP_CONTEXT);
    let reads_end_token = own_tower && !is_set("no_causal_mask") && matches!(pool, "argmax" | "eos");
    Ok(TextSpec {
        context: check_range("context_length", context.min(MAX_TOKENS), MIN_TOKENS, MAX_TOKENS)?,
        // The pad token in the files is the end token, see `Family::Clip`.
        pad: if own_tokenizer { PadToken::Id(0) } else { base.pad.clone() },
        // A tower of another library has a mask inside the network.
        pads_to_context: own_tower && !reads_end_token,
        reads_end_token,
        cleaning,
        language: named("hf_tokenizer_name").filter(|name| name.contains("nllb")).map(|_| "eng_Latn"),
        ..base.clone()
    })
}

#[cfg(test)]
mod tests;
