//! `GET /collections/{name}/export`.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64_simd::STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Path, Query};
use crate::collections::ExportHead;
use crate::domain::{ImageRecord, Payload, Space};
use crate::jobs::{Jobs, JobsError};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(export_collection))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportParams {
    /// The number of the generation; the current one by default.
    #[param(minimum = 1)]
    generation: Option<u32>,
    /// The store to read; the first store that has the collection by default.
    provider: Option<String>,
}

/// One line of an export: the first one has `header`, the last one `end`, and each line between them `image`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportLine {
    /// What all images have in common.
    Header(Box<ExportHeader>),
    /// One image.
    Image(Box<ExportedImage>),
    /// The end of a complete export.
    End(ExportEnd),
}

/// What all images of an export have in common.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExportHeader {
    /// The version of the format: 1.
    pub format_version: u32,
    /// The collection.
    pub collection: String,
    /// The number of its generation.
    pub generation: u32,
    /// The store that is read.
    pub provider: String,
    /// The model of the vectors.
    pub model: String,
    /// Numbers of a vector.
    pub dimension: usize,
    /// How vectors are compared: `cosine`.
    pub distance: String,
    /// The space of the vectors, with those of the built-in probes, by which an import recognises the model.
    #[schema(value_type = Object)]
    pub space: Space,
    /// Number of images when the export began.
    pub images: u64,
}

/// An image with its vector.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExportedImage {
    /// The id of the image.
    #[schema(format = Uuid)]
    pub id: String,
    /// The URI of the object: `s3://bucket/key`.
    pub s3_uri: String,
    /// The vector: base64 of little-endian floats of 32 bits.
    pub vector: String,
    /// All other data of the record.
    #[schema(value_type = Object)]
    pub payload: Payload,
}

/// The end of an export.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExportEnd {
    /// Number of images that were sent.
    pub images: u64,
}

impl From<ExportHead> for ExportHeader {
    fn from(head: ExportHead) -> Self {
        let ExportHead { collection, generation, store, model, space, images } = head;
        Self {
            format_version: 1,
            collection: collection.to_string(),
            generation,
            provider: store.to_owned(),
            model: model.map_or_else(|| space.model.clone(), |model| model.to_string()),
            dimension: space.dimension,
            distance: "cosine".to_owned(),
            space,
            images,
        }
    }
}

impl From<ImageRecord> for ExportedImage {
    fn from(record: ImageRecord) -> Self {
        let bytes: Vec<u8> = record.embedding.as_slice().iter().flat_map(|number| number.to_le_bytes()).collect();
        Self {
            id: record.id.to_string(),
            s3_uri: record.uri.to_string(),
            vector: STANDARD.encode_to_string(bytes),
            payload: record.payload,
        }
    }
}

/// Return every image of a collection with its vector and its payload.
///
/// Returns one JSON object per line. The last line of a complete export has `end`; if the export fails after the first line, the
/// last line is an error. Images that are indexed or removed meanwhile are in it or not. Two exports run at the same time.
/// `glimpse export` writes them to a Parquet file.
#[utoipa::path(get, path = "/collections/{name}/export", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"), ExportParams),
    responses((status = 200, description = "lines of JSON: each is an `ExportLine`", body = String,
            content_type = "application/x-ndjson"),
        (status = 404, body = ErrorReply),
        (status = 409, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn export_collection(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
    Query(ExportParams { generation, provider }): Query<ExportParams>,
) -> Result<Response, ApiError> {
    let (head, records) = jobs.export(&name, generation, provider.as_deref()).await?;
    let body = Body::from_stream(lines(head.into(), records));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Returns the lines of an export; one item for each chunk of records.
fn lines(
    header: ExportHeader,
    records: impl Stream<Item = Result<Vec<ImageRecord>, JobsError>> + Send,
) -> impl Stream<Item = serde_json::Result<Bytes>> + Send {
    let mut sent = Some(0_u64);
    let header = stream::once(std::future::ready(line(&ExportLine::Header(Box::new(header)))));
    // The end is `None`.
    let records = records.map(Some).chain(stream::once(std::future::ready(None)));
    let records = records.map(move |chunk| match chunk {
        Some(Ok(records)) => {
            sent = sent.map(|sent| sent + records.len() as u64);
            let mut bytes = Vec::new();
            for record in records {
                bytes.extend_from_slice(&line(&ExportLine::Image(Box::new(record.into())))?);
            }
            Ok(Bytes::from(bytes))
        }
        Some(Err(error)) => {
            sent = None;
            line(&ApiError::from(error).into_body())
        }
        None => sent.map_or(Ok(Bytes::new()), |images| line(&ExportLine::End(ExportEnd { images }))),
    });
    header.chain(records)
}

fn line(value: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line.into())
}
