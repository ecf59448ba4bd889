//! `/collections/{name}/duplicates`.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::AppState;
use crate::api::http::{ApiError, ErrorReply, Path, Query};
use crate::api::images::ImageSummary;
use crate::collections::{DuplicateGroup, DuplicateKind};
use crate::domain::StoredImage;
use crate::jobs::{Jobs, JobsError};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(find_duplicates))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DuplicatesParams {
    /// What is the same: `identical` (the bytes) or `similar` (the image).
    #[param(value_type = Option<DuplicateKind>, default = "identical")]
    kind: Option<String>,
    /// The store to search; the first store that has the collection by default.
    provider: Option<String>,
}

/// Images that are the same: one line of the reply.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DuplicatesReply {
    /// What is the same: `identical` or `similar`.
    #[schema(value_type = DuplicateKind)]
    pub kind: String,
    /// Number of images in the group.
    pub total: usize,
    /// The images, the largest first; at most 1,000.
    pub images: Vec<DuplicateImageReply>,
}

/// One image of a group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DuplicateImageReply {
    /// Which image it is.
    #[serde(flatten)]
    pub image: ImageSummary,
    /// Size of the object in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the bytes of the object.
    pub content_sha256: String,
}

impl From<StoredImage> for DuplicateImageReply {
    fn from(StoredImage { id, payload }: StoredImage) -> Self {
        Self {
            image: ImageSummary::new(id, &payload),
            size_bytes: payload.size_bytes,
            content_sha256: payload.content_sha256,
        }
    }
}

/// Find images that the collection has several times.
///
/// Returns one JSON object per line for each group of images, while the search runs. If the search fails after the first
/// line, the last line is an error. Similar images are searched for among the eight nearest images of each image, in
/// collections of at most 1,000,000 images; images indexed by an earlier version have no signature and are only compared
/// by their bytes. One search runs at a time. Nothing is changed.
#[utoipa::path(get, path = "/collections/{name}/duplicates", tag = "collections",
    params(("name" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"), DuplicatesParams),
    responses((status = 200, description = "lines of JSON: each is a `DuplicatesReply`", body = String,
            content_type = "application/x-ndjson"),
        (status = 404, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply),
        (status = 502, body = ErrorReply), (status = 503, body = ErrorReply)))]
async fn find_duplicates(
    State(jobs): State<Jobs>,
    Path(name): Path<String>,
    Query(params): Query<DuplicatesParams>,
) -> Result<Response, ApiError> {
    let kind = match params.kind.as_deref() {
        None => DuplicateKind::default(),
        Some(name) => DuplicateKind::from_name(name)
            .ok_or_else(|| ApiError::invalid("kind", format!("must be identical or similar, not `{name}`")))?,
    };
    let groups = jobs.duplicates(&name, kind, params.provider.as_deref()).await?;
    let body = Body::from_stream(lines(groups, kind));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Returns a line for each group. The line of an error is the last one.
fn lines(
    groups: impl Stream<Item = Result<DuplicateGroup, JobsError>> + Send,
    kind: DuplicateKind,
) -> impl Stream<Item = serde_json::Result<Bytes>> + Send {
    groups.map(move |group| match group {
        Ok(DuplicateGroup { total, images }) => {
            let images = images.into_iter().map(DuplicateImageReply::from).collect();
            line(&DuplicatesReply { kind: kind.name().to_owned(), total, images })
        }
        Err(error) => line(&ApiError::from(error).into_body()),
    })
}

fn line(value: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line.into())
}
