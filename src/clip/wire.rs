//! The JSON of `ai4all/clip`, and data URIs.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::ClipError;
use crate::domain::Embedding;

/// The body of `POST /embedding/image`; the images are not copied.
#[derive(Debug, Deserialize)]
pub(super) struct Images<'a> {
    #[serde(borrow)]
    pub(super) images: Vec<Cow<'a, str>>,
}

/// The body of `POST /embedding/text`.
#[derive(Debug, Deserialize)]
pub(super) struct Texts {
    pub(super) texts: Vec<String>,
}

/// One answer about a image.
#[derive(Debug, Serialize)]
pub(super) struct ImageVector {
    pub(super) image: String,
    pub(super) vector: Vector,
}

/// One answer about a text.
#[derive(Debug, Serialize)]
pub(super) struct TextVector {
    pub(super) text: String,
    pub(super) vector: Vector,
}

/// Unit length.
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

/// What it is and what it wants, so that clients can prepare images as it would.
#[derive(Debug, Serialize)]
pub(super) struct Card {
    pub(super) model: String,
    pub(super) dimension: usize,
    /// Side of its square in pixels: a image of just that size is taken as it is.
    pub(super) image_size: u32,
    /// What it does to a image that is no square: `crop` or `pad`.
    pub(super) resize: &'static str,
}

/// Reads a body, whatever its content type says.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ClipError> {
    serde_json::from_slice(body).map_err(ClipError::Body)
}

/// What stands before the data, and the data. Base64 alone is taken too: what it is, its bytes say.
///
/// # Errors
/// What is wrong with it.
pub(super) fn data_uri(text: &str) -> Result<(&str, Vec<u8>), String> {
    let at = match text.split_once(',') {
        Some((head, _)) if head.starts_with("data:") && head.ends_with(";base64") => head.len() + 1,
        Some((head, _)) if head.starts_with("data:") => return Err("the data URI is not in base64".to_owned()),
        Some(_) => return Err("neither a data URI nor base64".to_owned()),
        None => 0,
    };
    let (head, data) = text.split_at(at);
    let bytes = STANDARD.decode(data).map_err(|error| format!("the base64 is broken: {error}"))?;
    Ok((head, bytes))
}
