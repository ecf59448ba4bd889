//! The JSON of OpenAI's API.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::clip_server::error::{ClipError, ErrorDetails};
use crate::clip_server::wire::{ModelInfo, Vector};
use crate::domain::{Embedding, Space};

/// The body of `POST /embeddings`. An unknown field is refused: with a misspelt `modality`, images would be read as text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmbeddingRequest {
    model: Option<String>,
    pub(super) input: Input,
    pub(super) modality: Option<Modality>,
    pub(super) encoding_format: Option<Encoding>,
    dimensions: Option<usize>,
    /// The language of texts, for models that need to know it; OpenAI does not have this field.
    pub(super) lang: Option<String>,
    #[serde(rename = "user")]
    _user: Option<IgnoredAny>,
}

/// One input or several.
#[derive(Deserialize)]
#[serde(from = "OneOrSeveral")]
pub(super) struct Input(pub(super) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "`input` must be a string or a list of strings; lists of tokens are not supported")]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

impl From<OneOrSeveral> for Input {
    fn from(input: OneOrSeveral) -> Self {
        match input {
            OneOrSeveral::One(one) => Self(vec![one]),
            OneOrSeveral::Several(several) => Self(several),
        }
    }
}

/// What the inputs are; texts by default.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Modality {
    Text,
    Image,
}

/// The form of the vectors in the reply.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    #[default]
    Float,
    Base64,
}

impl EmbeddingRequest {
    /// Fails if the request does not fit the model.
    pub(super) fn check(&self, space: &Space) -> Result<(), ClipError> {
        let wrong = |field, problem| Err(ClipError::Field { field, problem });
        if let Some(requested) = self.model.as_ref().filter(|model| **model != space.model) {
            return Err(ClipError::UnknownModel { requested: requested.clone(), served: space.model.clone() });
        }
        if let Some(dimensions) = self.dimensions.filter(|dimensions| *dimensions != space.dimension) {
            return wrong("dimensions", format!("must be {}, which the model has, not {dimensions}", space.dimension));
        }
        if self.input.0.is_empty() {
            return wrong("input", "is empty; it must have at least one text or image".to_owned());
        }
        if self.modality.is_none() && self.input.0.iter().any(|input| input.starts_with("data:image/")) {
            return wrong("modality", "is missing, but the input is an image; set it to `image`".to_owned());
        }
        Ok(())
    }
}

/// The reply to `POST /embeddings`.
#[derive(Serialize)]
pub(in crate::clip_server) struct EmbeddingList {
    object: &'static str,
    data: Vec<Item>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Item {
    object: &'static str,
    index: usize,
    embedding: Numbers,
}

/// The numbers of a vector.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Numbers {
    Float(Vector),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl Numbers {
    /// Encodes the bytes of the numbers, little-endian.
    pub(super) fn base64(vector: &Embedding) -> Self {
        let bytes: Vec<u8> = vector.as_slice().iter().flat_map(|number| number.to_le_bytes()).collect();
        Self::Base64(STANDARD.encode(bytes))
    }
}

impl EmbeddingList {
    pub(super) fn new(vectors: impl Iterator<Item = Numbers>, model: String, usage: usize) -> Self {
        let item = |(index, embedding)| Item { object: "embedding", index, embedding };
        let usage = Usage { prompt_tokens: usage, total_tokens: usage };
        Self { object: "list", data: vectors.enumerate().map(item).collect(), model, usage }
    }
}

/// The reply to `GET /models`.
#[derive(Serialize)]
pub(in crate::clip_server) struct ModelList {
    object: &'static str,
    data: [Model; 1],
}

/// The reply to `GET /models/{id}`, and an entry of the list.
#[derive(Serialize)]
pub(in crate::clip_server) struct Model {
    id: String,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// As in `GET /`; OpenAI does not have this field.
    glimpse: ModelInfo,
}

impl ModelList {
    pub(super) fn new(glimpse: ModelInfo) -> Self {
        Self { object: "list", data: [Model::new(glimpse)] }
    }
}

impl Model {
    pub(super) fn new(glimpse: ModelInfo) -> Self {
        Self { id: glimpse.model.clone(), object: "model", created: 0, owned_by: "glimpse", glimpse }
    }
}

/// The body of an error reply.
#[derive(Serialize)]
pub(super) struct ErrorReply<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl<'a> ErrorReply<'a> {
    pub(super) fn new(status: StatusCode, ErrorDetails { message, field, code }: &'a ErrorDetails) -> Self {
        let r#type = match status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        Self { error: ErrorBody { message, r#type, param: *field, code: *code } }
    }
}
