//! `/v1/embeddings`: the vectors of texts and images, as in the API of OpenAI, extended for images as `glimpse clip` is.
//! Errors have the form of this service.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::http::whole_number::optional_whole_number;
use super::http::{ApiError, ErrorReply, parse_described, read_up_to};
use super::search::{decode_base64, max_body_bytes, parse_language};
use super::{AppState, Defaults};
use crate::domain::Embedding;
use crate::search::{EmbeddingInputs, EmbeddingOptions, Embeddings, MAX_TERMS, QueryImage, Search};

const INPUT: &str = "A text of 1 to 1,000 characters, or a list of at most 16. With the modality `image`: an image in base64 or \
                     as a `data:` URI, or a list of at most 8.";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    // The handler limits the size of the body itself.
    OpenApiRouter::new().routes(routes!(create_embeddings)).layer(DefaultBodyLimit::disable())
}

/// Texts or images, and whose model makes their vectors.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingsRequest {
    /// A text or a list of texts, or images.
    #[schema(schema_with = input_schema)]
    pub input: InputList,
    /// What the inputs are; texts by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub modality: Option<Modality>,
    /// The name of the model; that of the collection by default. Another name is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The collection whose model makes the vectors; `VECTOR_DB_COLLECTION` by default. OpenAI does not have this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: Option<String>,
    /// The form of the vectors: numbers by default; `base64` of little-endian 32-bit floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    pub encoding_format: Option<Encoding>,
    /// The number of dimensions; that of the model by default. Another number is refused.
    #[serde(default, deserialize_with = "optional_whole_number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub dimensions: Option<usize>,
    /// Language of the texts, for models that need to know it, such as `de`. OpenAI does not have this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "de", pattern = "^([A-Za-z]{2,3}([_-][A-Za-z0-9]{1,8})*)?$")]
    pub lang: Option<String>,
    /// Ignored; clients of OpenAI send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What inputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Texts.
    Text,
    /// Images.
    Image,
}

/// The form of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// A list of numbers.
    Float,
    /// The bytes of the numbers in base64.
    Base64,
}

fn input_schema() -> impl Into<RefOr<Schema>> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let list = ArrayBuilder::new().items(text()).min_items(Some(1)).max_items(Some(MAX_TERMS));
    OneOfBuilder::new().description(Some(INPUT)).item(text()).item(list)
}

/// The inputs of a request. Of a long list, one more than the maximum is read, so that it is refused.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct InputList(pub Vec<String>);

impl<'de> Deserialize<'de> for InputList {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = InputList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings (lists of tokens are not supported)")
            }

            fn visit_str<E>(self, text: &str) -> Result<InputList, E> {
                Ok(InputList(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<InputList, A::Error> {
                let mut texts = Vec::new();
                while texts.len() <= MAX_TERMS {
                    let Some(text) = items.next_element::<Cow<'_, str>>()? else { return Ok(InputList(texts)) };
                    texts.push(text.into_owned());
                }
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(InputList(texts))
            }
        }
        json.deserialize_any(OneOrSeveral)
    }
}

/// Vectors.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EmbeddingsReply {
    /// `list`
    pub object: String,
    /// The vectors, in the order of the inputs.
    pub data: Vec<EmbeddingReply>,
    /// The model that made them.
    pub model: String,
    /// What was counted.
    pub usage: UsageReply,
}

/// The vector of one input.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EmbeddingReply {
    /// `embedding`
    pub object: String,
    /// The position of the input.
    pub index: usize,
    /// The vector, of the length 1.
    #[schema(inline)]
    pub embedding: VectorReply,
}

/// The numbers of a vector, or their bytes in base64.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum VectorReply {
    /// Numbers.
    Numbers(Vec<f32>),
    /// Base64.
    Base64(String),
}

/// Characters of texts; 0 for images.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageReply {
    /// Number of characters.
    pub prompt_tokens: usize,
    /// The same number.
    pub total_tokens: usize,
}

/// Return the vectors of texts or images by the model of a collection.
///
/// Request and reply are those of OpenAI, with `modality`, `collection` and `lang` in addition. Counts as one search.
#[utoipa::path(post, path = "/v1/embeddings", tag = "search", request_body = EmbeddingsRequest,
    responses((status = 200, body = EmbeddingsReply), (status = 400, body = ErrorReply), (status = 413, body = ErrorReply),
        (status = 415, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn create_embeddings(
    State(search): State<Search>,
    State(defaults): State<Defaults>,
    request: Request,
) -> Result<axum::Json<EmbeddingsReply>, ApiError> {
    // Before the body is read, so that waiting uploads use no memory.
    let mut permit = search.admit_upload().await?;
    let limit = max_body_bytes(defaults.max_image_bytes, search.upload_budget());
    let (headers, body) = read_up_to(request, limit, &mut permit).await?;
    let request: EmbeddingsRequest = parse_described(&headers, &body)?;
    drop(body);
    let EmbeddingsRequest { input: InputList(input), modality, model, collection, encoding_format, .. } = request;
    let language = parse_language(request.lang.as_deref())?;
    let (inputs, characters) = match modality {
        Some(Modality::Image) => {
            let permit = Arc::new(permit);
            let image = |(index, text): (usize, &String)| {
                let wrong =
                    || ApiError::invalid("input", format!("input[{index}] is neither base64 nor a `data:` URI"));
                let bytes = decode_base64(text).map(Bytes::from).ok_or_else(wrong)?;
                Ok(QueryImage { bytes, permit: Some(permit.clone()), ..QueryImage::default() })
            };
            let images: Result<_, ApiError> = input.iter().enumerate().map(image).collect();
            (EmbeddingInputs::Images(images?), 0)
        }
        None if input.iter().any(|text| text.starts_with("data:image/")) => {
            return Err(ApiError::invalid("modality", "is missing, but the input is an image; set it to `image`"));
        }
        Some(Modality::Text) | None => {
            let characters = input.iter().map(|text| text.chars().count()).sum();
            (EmbeddingInputs::Texts(input, language), characters)
        }
    };
    let collection = collection.unwrap_or_else(|| defaults.collection.to_string());
    let options = EmbeddingOptions { collection, model, dimensions: request.dimensions };
    let Embeddings { model, vectors } = search.embeddings(inputs, &options).await?;
    let data = vectors.iter().enumerate().map(|(index, vector)| EmbeddingReply {
        object: "embedding".to_owned(),
        index,
        embedding: encode(vector, encoding_format),
    });
    Ok(axum::Json(EmbeddingsReply {
        object: "list".to_owned(),
        data: data.collect(),
        model,
        usage: UsageReply { prompt_tokens: characters, total_tokens: characters },
    }))
}

fn encode(vector: &Embedding, encoding: Option<Encoding>) -> VectorReply {
    match encoding {
        Some(Encoding::Float) | None => VectorReply::Numbers(vector.as_slice().to_vec()),
        Some(Encoding::Base64) => {
            let bytes: Vec<u8> = vector.as_slice().iter().flat_map(|number| number.to_le_bytes()).collect();
            VectorReply::Base64(STANDARD.encode(bytes))
        }
    }
}
