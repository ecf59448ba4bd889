//! The JSON of `ai4all/clip`, and data URIs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::ClipError;
use crate::domain::{Embedding, Language};

/// The body of `POST /embedding/image`.
#[derive(Debug, Deserialize)]
pub(super) struct Images {
    pub(super) images: Vec<String>,
}

/// The body of `POST /embedding/text`.
#[derive(Debug, Deserialize)]
pub(super) struct Texts {
    pub(super) texts: Vec<String>,
    /// The language of the texts, for models that need to know it.
    pub(super) lang: Option<String>,
}

/// The result for one image.
#[derive(Debug, Serialize)]
pub(super) struct ImageVector {
    pub(super) image: String,
    pub(super) vector: Vector,
}

/// The result for one text.
#[derive(Debug, Serialize)]
pub(super) struct TextVector {
    pub(super) text: String,
    pub(super) vector: Vector,
}

/// A vector of unit length.
#[derive(Debug)]
pub(super) struct Vector(Embedding);

impl From<Embedding> for Vector {
    fn from(embedding: Embedding) -> Self {
        Self(embedding)
    }
}

impl Serialize for Vector {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_slice().serialize(serializer)
    }
}

/// Describes the model, so that clients can prepare images as the service does.
#[derive(Debug, Serialize)]
pub(super) struct ModelInfo {
    pub(super) model: String,
    pub(super) dimension: usize,
    /// Side of the model's square in pixels. An image of exactly this size is not resized.
    pub(super) image_size: u32,
    /// What happens to an image that is not a square: `crop`, `crop-floor`, `crop-even`, `squash` or `pad`.
    pub(super) resize: &'static str,
    /// Name of the whole preparation, such as `squash-256-bilinear`, with the rule by which texts are cleaned after `+`.
    pub(super) preprocessing: String,
}

/// Parses a body as a JSON object; its content type is ignored. A list would be read as the fields of the object in
/// their order.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ClipError> {
    match body.trim_ascii_start() {
        [b'{', ..] | [] => serde_json::from_slice(body).map_err(ClipError::Body),
        [b'[', ..] => Err(ClipError::NoObject("an array")),
        [b'"', ..] => Err(ClipError::NoObject("a string")),
        _ => Err(ClipError::NoObject("another value")),
    }
}

/// Parses the language of texts. An empty one is the same as none.
pub(super) fn parse_language(language: Option<&str>) -> Result<Option<Language>, ClipError> {
    Ok(language.filter(|text| !text.is_empty()).map(str::parse).transpose()?)
}

/// Splits a data URI into the text before the data and the decoded data. Base64 alone is accepted too, because the type
/// of the image is read from its bytes.
///
/// # Errors
/// A message that says what is wrong.
pub(super) fn data_uri(text: &str) -> Result<(&str, Vec<u8>), String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(
            "is a URL; this service does not fetch images, send a data URI (`data:image/png;base64,…`)".to_owned()
        );
    }
    let data_start = match text.split_once(',') {
        Some((prefix, _)) if prefix.starts_with("data:") && prefix.ends_with(";base64") => prefix.len() + 1,
        Some((prefix, _)) if prefix.starts_with("data:") => {
            return Err("the data URI does not contain base64".to_owned());
        }
        Some(_) => return Err("not a data URI and not base64".to_owned()),
        None => 0,
    };
    let (prefix, data) = text.split_at(data_start);
    let bytes = STANDARD.decode(data).map_err(|error| format!("the base64 is invalid: {error}"))?;
    Ok((prefix, bytes))
}
