//! The replies to uploads.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::http::{ApiError, ErrorReply};
use crate::uploads::Uploaded;

/// An object that was stored.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ObjectReply {
    /// The id of the image, in every store.
    #[schema(format = Uuid)]
    pub id: String,
    /// The address of the object: `s3://bucket/key`.
    pub s3_uri: String,
    /// The ETag of the object, if the bucket reports it.
    pub etag: Option<String>,
    /// The collection.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
    pub collection: String,
    /// Whether an object with this key existed before.
    pub replaced: bool,
    /// Whether searches find the image now. Otherwise the service indexes it as soon as it can, also after a restart.
    pub indexed: bool,
    /// Why it is not indexed yet, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The results of a form, one for each file, in their order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ObjectsReply {
    /// Number of files that were stored.
    pub stored: usize,
    /// Number of files that were refused.
    pub refused: usize,
    /// The result of each file.
    pub results: Vec<UploadResultReply>,
}

/// The result of one file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UploadResultReply {
    /// The name of the file, as in the form.
    pub file: String,
    /// The status that `PUT /objects/{key}` has for this file.
    #[schema(minimum = 200, maximum = 599)]
    pub status: u16,
    /// The object, if it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectReply>,
    /// Why the file was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReply>,
}

/// Returns the status of an upload.
fn status_code(uploaded: &Uploaded) -> StatusCode {
    match (uploaded.indexed, uploaded.replaced) {
        (false, _) => StatusCode::ACCEPTED,
        (true, true) => StatusCode::OK,
        (true, false) => StatusCode::CREATED,
    }
}

impl From<Uploaded> for ObjectReply {
    fn from(uploaded: Uploaded) -> Self {
        Self {
            id: uploaded.uri.id().to_string(),
            s3_uri: uploaded.uri.to_string(),
            etag: uploaded.etag,
            collection: uploaded.collection.to_string(),
            replaced: uploaded.replaced,
            indexed: uploaded.indexed,
            message: uploaded.problem,
        }
    }
}

/// Returns the reply to an upload.
pub(super) fn reply(uploaded: Uploaded, respond_async: bool) -> Response {
    let status = status_code(&uploaded);
    let body = ObjectReply::from(uploaded);
    let location = format!("/images/{}?collection={}", body.id, body.collection);
    let mut response = (status, [(header::LOCATION, location)], axum::Json(body)).into_response();
    if respond_async {
        let applied = HeaderName::from_static("preference-applied");
        response.headers_mut().insert(applied, HeaderValue::from_static("respond-async"));
    }
    response
}

impl UploadResultReply {
    pub(super) fn new(file: String, result: Result<Uploaded, ApiError>) -> Self {
        match result {
            Ok(uploaded) => {
                Self { file, status: status_code(&uploaded).as_u16(), object: Some(uploaded.into()), error: None }
            }
            Err(error) => Self { file, status: error.status().as_u16(), object: None, error: Some(error.into_body()) },
        }
    }
}
