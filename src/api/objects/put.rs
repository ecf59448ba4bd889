//! `PUT /objects/{key}`

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::options::{UploadParams, read_options};
use super::reply::{ObjectReply, reply};
use crate::api::Defaults;
use crate::api::http::{ApiError, ErrorReply, FileBytes, Path, Query, read_up_to};
use crate::search::Search;
use crate::uploads::Uploads;

/// Store an image in the bucket and index it. The body is the file; its content decides the format.
///
/// The reply is 201 for a new object and 200 for one that was replaced, when searches find the image; 202 with `Prefer:
/// respond-async`, or if the object is stored and cannot be indexed yet: then the service indexes it as soon as it can. With
/// `If-None-Match: *`, an object is not replaced, and with `If-Match`, only this version of it. `GLIMPSE_UPLOADS` says which keys are allowed.
#[utoipa::path(put, path = "/objects/{key}", tag = "images",
    params(("key" = String, Path, description = "The key; `/` need not be encoded"), UploadParams,
        ("If-None-Match" = Option<String>, Header, pattern = r"^\*$", description = "`*`: 412 if the object exists"),
        ("If-Match" = Option<String>, Header, description = "412 if the object does not have this ETag"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: the image is indexed after the reply")),
    request_body(content_type = "application/octet-stream", content = inline(FileBytes)),
    responses((status = 200, body = ObjectReply), (status = 201, body = ObjectReply), (status = 202, body = ObjectReply),
        (status = 403, body = ErrorReply), (status = 409, body = ErrorReply), (status = 412, body = ErrorReply),
        (status = 413, body = ErrorReply), (status = 415, body = ErrorReply), (status = 422, body = ErrorReply),
        (status = 429, body = ErrorReply), (status = 502, body = ErrorReply), (status = 503, body = ErrorReply),
        (status = 507, description = "the disk of the data folder has too little free space", body = ErrorReply)))]
pub(super) async fn put_object(
    State(uploads): State<Uploads>,
    State(search): State<Search>,
    State(defaults): State<Defaults>,
    Path(key): Path<String>,
    Query(params): Query<UploadParams>,
    request: Request,
) -> Result<Response, ApiError> {
    let options = read_options(request.headers())?;
    let target = uploads.target(params.bucket.as_deref(), &params.collection(&defaults), &key)?;
    // Before the body is read, so that waiting uploads use no memory.
    let mut permit = search.admit_upload().await?;
    let (_, bytes) = read_up_to(request, defaults.max_image_bytes, &mut permit)
        .await
        .map_err(|error| error.with_setting(StatusCode::PAYLOAD_TOO_LARGE, "IMAGE_MAX_SIZE_MB"))?;
    let respond_async = options.respond_async;
    let uploaded = uploads.store(target, bytes, options, permit).await?;
    Ok(reply(uploaded, respond_async))
}
