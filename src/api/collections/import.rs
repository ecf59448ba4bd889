//! `POST /collections/{name}/import`.

use std::collections::BTreeMap;

use axum::extract::{DefaultBodyLimit, Request, State};
use base64_simd::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::allowed::wrong_body;
use crate::api::http::bounded_json::or_default;
use crate::api::http::extract::{MAX_IMPORT_BYTES, parse_json, read_up_to};
use crate::api::http::whole_number::whole_number;
use crate::api::http::{ApiError, ErrorReply, Path};
use crate::collections::{ImportBatch, ImportImage, Imported};
use crate::domain::{ImageUri, ItemFailure, Payload, Space};
use crate::jobs::Jobs;
use crate::search::Search;

/// Maximum bytes of a payload.
const MAX_PAYLOAD_BYTES: usize = 256 << 10;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(import_collection)).layer(DefaultBodyLimit::disable())
}

/// A batch of images with their vectors.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Numbers of a vector. It must be that of the model of the collection.
    #[schema(minimum = 1, maximum = 16_384)]
    #[serde(deserialize_with = "whole_number")]
    pub dimension: usize,
    /// The space of the vectors, as in an export. It must be that of the collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub space: Option<Space>,
    /// Whether the vectors are of the model of the collection, although `space` is absent or differs.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<bool>)]
    pub model_matches: bool,
    /// The images.
    #[schema(max_items = 500, inline)]
    pub images: Vec<ImportImageRequest>,
    /// Whether no batch follows.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Option<bool>)]
    pub last: bool,
}

/// An image with its vector.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportImageRequest {
    /// The URI of the object: `s3://bucket/key`. Jobs must be allowed to read the bucket.
    pub s3_uri: String,
    /// The vector: base64 of little-endian floats of 32 bits. It is scaled to unit length.
    pub vector: String,
    /// The payload of an exported record. Without it, the service reads the object, which must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Box<RawValue>>,
    /// Metadata of an image without a payload, as in a metadata file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
}

/// What was imported of a batch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImportReply {
    /// The collection.
    pub collection: String,
    /// Number of images that were imported.
    pub imported: u64,
    /// Images that were not imported.
    pub failures: Vec<ImportFailureReply>,
}

/// An image that was not imported.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImportFailureReply {
    /// The URI of the object.
    pub s3_uri: String,
    /// The class of the failure, as of the failures of jobs.
    pub class: String,
    /// The reason.
    pub message: String,
}

impl From<Imported> for ImportReply {
    fn from(Imported { collection, imported, failures }: Imported) -> Self {
        let failure = |ItemFailure { uri, class, message, .. }: ItemFailure| ImportFailureReply {
            s3_uri: uri.to_string(),
            class: class.as_str().to_owned(),
            message,
        };
        Self { collection: collection.to_string(), imported, failures: failures.into_iter().map(failure).collect() }
    }
}

impl ImportRequest {
    fn into_batch(self) -> Result<ImportBatch, ApiError> {
        let Self { dimension, space, model_matches, images, last } = self;
        let images = images.into_iter().enumerate().map(|(at, image)| image.parse(at)).collect::<Result<_, _>>()?;
        Ok(ImportBatch { dimension, space, model_matches, images, last })
    }
}

impl ImportImageRequest {
    fn parse(self, at: usize) -> Result<ImportImage, ApiError> {
        let wrong =
            |field: &str, problem: String| ApiError::invalid("images", format!("{field} of image {at}: {problem}"));
        let uri = ImageUri::parse(&self.s3_uri).map_err(|error| wrong("s3_uri", error.to_string()))?;
        let bytes = STANDARD.decode_to_vec(self.vector.as_bytes());
        let bytes = bytes.ok().filter(|bytes| bytes.len().is_multiple_of(size_of::<f32>()));
        let bytes = bytes.ok_or_else(|| wrong("vector", "must be base64 of floats of 32 bits".to_owned()))?;
        let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let vector = bytes.chunks_exact(size_of::<f32>()).map(number).collect();
        if let Some(payload) = self.payload.as_ref().filter(|payload| payload.get().len() > MAX_PAYLOAD_BYTES) {
            let problem = format!("it has {} bytes; at most {MAX_PAYLOAD_BYTES} are allowed", payload.get().len());
            return Err(wrong("payload", problem));
        }
        let payload = self.payload.as_ref().map(|payload| serde_json::from_str::<Payload>(payload.get())).transpose();
        let payload = payload.map_err(|error| wrong("payload", error.to_string()))?;
        if let Some(payload) = payload.as_ref().filter(|payload| payload.s3_uri != uri) {
            return Err(wrong("payload", format!("it is of {} and not of {uri}", payload.s3_uri)));
        }
        Ok(ImportImage { uri, vector, payload: payload.map(Box::new), meta: self.meta })
    }
}

/// Import images with vectors that were made elsewhere with the model of the collection.
///
/// The collection is created if it does not exist. An image with a payload is stored as it is; of one without, the object is read
/// and decoded, but not embedded. A batch may be repeated. No job runs on the collection meanwhile (409). A job with `sync` removes
/// images whose objects are not in the bucket. `glimpse import` sends the files of an export or of clip-retrieval.
#[utoipa::path(post, path = "/collections/{name}/import", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")), request_body = ImportRequest,
    responses((status = 200, body = ImportReply), (status = 400, body = ErrorReply), (status = 403, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 413, body = ErrorReply), (status = 415, body = ErrorReply),
        (status = 422, body = ErrorReply), (status = 429, body = ErrorReply), (status = 502, body = ErrorReply),
        (status = 503, body = ErrorReply), (status = 504, body = ErrorReply), (status = 507, body = ErrorReply)))]
async fn import_collection(
    State(jobs): State<Jobs>,
    State(search): State<Search>,
    Path(name): Path<String>,
    request: Request,
) -> Result<axum::Json<ImportReply>, ApiError> {
    // Before the body is read, so that waiting imports use no memory.
    let mut permit = search.admit_upload().await?;
    let (headers, bytes) = read_up_to(request, MAX_IMPORT_BYTES, &mut permit).await?;
    let request: ImportRequest = parse_json(&headers, &bytes, |error| {
        let schema = serde_json::to_value(ImportRequest::schema()).unwrap_or_default();
        error.is_data().then(|| wrong_body(&schema, &bytes, error))
    })?;
    drop(bytes);
    Ok(axum::Json(jobs.import(&name, request.into_batch()?).await?.into()))
}
