//! Which model makes the vectors of a collection, and what a request may change about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of the provider that the settings without a name configure.
pub const DEFAULT_PROVIDER: &str = "default";
/// The kind of the models in this process.
const LOCAL: &str = "local";

/// Which model makes the vectors of a collection, as the ledger records it. It has no address and no key: those are
/// settings of the provider, and may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelRecord {
    /// The configured provider: `default` for the settings without a name, otherwise the lower-case NAME of
    /// `CLIP_URL_<NAME>`.
    pub provider: String,
    /// `local`, `clip`, `openai`, `multi2vec` or `ollama`. A `local` model needs no configured provider.
    pub kind: String,
    /// As in `CLIP_MODEL`. For `ollama`, the vision model and the text model, separated by ` + `.
    pub model: String,
    /// As in `CLIP_PRECISION`; `auto` for a model in another process.
    pub precision: String,
    /// As in `IMAGE_RESIZE`: `crop` or `pad`.
    pub resize: String,
    /// As in `IMAGE_PAD_COLOR`, if `resize` is `pad` and the colour is not black.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_color: Option<String>,
    /// As in `IMAGE_COLOR`, if it is not `reference`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// As in `IMAGE_TARGET_SIZE`, if it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_size: Option<u32>,
}

impl ModelRecord {
    /// Returns what the networks of a model in this process depend on: models that differ only in the preparation of images share
    /// their networks. `None` for a model of a service.
    pub fn networks(&self) -> Option<(&str, &str, Option<u32>)> {
        (self.kind == LOCAL).then_some((&self.model, &self.precision, self.target_size))
    }

    /// Returns the name of the provider as a dependency: its kind, and the name under which it is configured if it has one.
    pub fn dependency(&self) -> String {
        match self.provider.as_str() {
            DEFAULT_PROVIDER => self.kind.clone(),
            provider => format!("{}-{provider}", self.kind),
        }
    }
}

/// Writes `glimpse-mini-1 (local, crop)`, with everything that is not the default.
impl fmt::Display for ModelRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, kind, model, precision, resize, pad_color, color, target_size } = self;
        write!(f, "{model} ({kind}")?;
        if provider != DEFAULT_PROVIDER {
            write!(f, " at {provider}")?;
        }
        if precision != "auto" {
            write!(f, ", {precision}")?;
        }
        write!(f, ", {resize}")?;
        for part in [pad_color, color].into_iter().flatten() {
            write!(f, ", {part}")?;
        }
        if let Some(size) = target_size {
            write!(f, ", {size} pixels")?;
        }
        f.write_str(")")
    }
}

/// What a request changes about a model. What it leaves out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// The name of a configured provider: `default`, `local` for a model in this process, or the lower-case NAME of
    /// `CLIP_URL_<NAME>`.
    pub provider: Option<String>,
    /// As in `CLIP_MODEL`. If only the provider is named, it is the model in the settings of the provider.
    pub model: Option<String>,
    /// As in `CLIP_PRECISION`.
    pub precision: Option<String>,
    /// As in `IMAGE_RESIZE`.
    pub resize: Option<String>,
}

/// Why a [`ModelRequest`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidModel {
    /// The field of the request.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ModelRecord {
        ModelRecord {
            provider: DEFAULT_PROVIDER.to_owned(),
            kind: "local".to_owned(),
            model: "glimpse-mini-1".to_owned(),
            precision: "auto".to_owned(),
            resize: "crop".to_owned(),
            pad_color: None,
            color: None,
            target_size: None,
        }
    }

    /// The form in which the ledger stores it must not change.
    #[test]
    fn defaults_are_left_out_of_the_stored_form() {
        let stored =
            r#"{"provider":"default","kind":"local","model":"glimpse-mini-1","precision":"auto","resize":"crop"}"#;
        assert_eq!(serde_json::to_string(&record()).unwrap(), stored);
        assert_eq!(serde_json::from_str::<ModelRecord>(stored).unwrap(), record());
    }

    #[test]
    fn the_text_names_what_is_not_the_default() {
        assert_eq!(record().to_string(), "glimpse-mini-1 (local, crop)");
        let other = ModelRecord {
            provider: "new".to_owned(),
            kind: "openai".to_owned(),
            precision: "int8".to_owned(),
            resize: "pad".to_owned(),
            pad_color: Some("ffffff".to_owned()),
            color: Some("srgb".to_owned()),
            target_size: Some(256),
            ..record()
        };
        assert_eq!(other.to_string(), "glimpse-mini-1 (openai at new, int8, pad, ffffff, srgb, 256 pixels)");
    }
}
