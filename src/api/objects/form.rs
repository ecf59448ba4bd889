//! `POST /objects`: several files in one form.

use std::collections::BTreeMap;

use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use tokio::task::JoinSet;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::options::{UploadParams, read_options};
use super::reply::{ObjectsReply, UploadResultReply};
use crate::api::Defaults;
use crate::api::http::allowed::{invalid_body, unknown_name};
use crate::api::http::form::{check_content_type, file_too_large, malformed_form, read_field};
use crate::api::http::{ApiError, ErrorReply, Query};
use crate::search::Search;
use crate::uploads::{MAX_KEY_BYTES, UploadOptions, Uploads};

/// Maximum number of files in a form.
const MAX_FILES: usize = 100;
/// Maximum number of files of a form that have a result. The form is not read any further.
const MAX_NAMED_FILES: usize = 1000;
/// Maximum number of files of one form that are stored at the same time.
const MAX_PARALLEL: usize = 8;
/// Maximum number of characters of a file's name in a reply.
const MAX_NAME_CHARACTERS: usize = 200;

/// Describes the body to readers of the API. Generated clients send the fields in the order of the document, required ones first,
/// and `prefix` must come before the files. So each field has an object of its own, and `file` is not marked as required.
pub(super) enum UploadForm {}

impl ToSchema for UploadForm {}

impl PartialSchema for UploadForm {
    fn schema() -> RefOr<Schema> {
        let prefix = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "The beginning of each key, such as `images/`; empty by default. It must come before the files.",
            ))
            .max_length(Some(MAX_KEY_BYTES));
        let file =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let files = ArrayBuilder::new()
            .items(file)
            .description(Some("The images; at least one is required. The key is the prefix and the name of the file."))
            .max_items(Some(MAX_FILES))
            .min_items(Some(1));
        AllOfBuilder::new()
            .description(Some("Files to store."))
            .item(ObjectBuilder::new().property("prefix", prefix))
            .item(ObjectBuilder::new().property("file", files))
            .into()
    }
}

/// Store several images and index them. Each file has a result of its own, with the status of `PUT /objects/{key}`.
#[utoipa::path(post, path = "/objects", tag = "images",
    params(UploadParams,
        ("If-None-Match" = Option<String>, Header, pattern = r"^\*$", description = "`*`: 412 for a file whose object exists"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: the images are indexed after the reply")),
    request_body(content((UploadForm = "multipart/form-data"))),
    responses((status = 200, body = ObjectsReply), (status = 400, body = ErrorReply), (status = 403, body = ErrorReply),
        (status = 413, body = ErrorReply),
        (status = 415, body = ErrorReply), (status = 422, body = ErrorReply), (status = 429, body = ErrorReply)))]
pub(super) async fn post_objects(
    State(uploads): State<Uploads>,
    State(search): State<Search>,
    State(defaults): State<Defaults>,
    Query(params): Query<UploadParams>,
    request: Request,
) -> Result<axum::Json<ObjectsReply>, ApiError> {
    check_content_type(request.headers(), "`Content-Type: multipart/form-data` with fields `prefix` and `file`")?;
    let options = read_options(request.headers())?;
    if options.if_match.is_some() {
        let message = "If-Match: a form has several files; use PUT /objects/{key} to replace one version of one object";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_if_match", message));
    }
    uploads.check_place(params.bucket.as_deref(), &params.collection(&defaults))?;
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| ApiError::malformed("the content type has no `boundary`; send a form as multipart/form-data"))?;
    let upload = FormUpload { uploads, search, defaults, params, options };
    let mut prefix: Option<String> = None;
    let mut results = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut count = 0;
    while let Some(field) = form.next_field().await.map_err(|error| malformed_form(&error))? {
        match field.name() {
            Some("prefix") if count > 0 || prefix.is_some() => {
                return Err(ApiError::invalid("prefix", "must be given once, before the files"));
            }
            Some("prefix") => prefix = Some(upload.read_prefix(field).await?),
            Some("file") if count == MAX_NAMED_FILES => break,
            Some("file") if count >= MAX_FILES => {
                let message = format!("at most {MAX_FILES} files are stored from one form; send this file again");
                results
                    .insert(count, UploadResultReply::new(shown_name(&field), Err(ApiError::invalid("file", message))));
                count += 1;
            }
            Some("file") => {
                if tasks.len() == MAX_PARALLEL {
                    results.extend(tasks.join_next().await.into_iter().flatten());
                }
                upload.start(field, prefix.as_deref(), count, &mut tasks).await?;
                count += 1;
            }
            other => {
                let other = other.unwrap_or("(without a name)");
                return Err(invalid_body(unknown_name("field", other, ["prefix", "file"].into_iter())));
            }
        }
    }
    while let Some(joined) = tasks.join_next().await {
        results.extend(joined);
    }
    if count == 0 {
        return Err(ApiError::malformed("the form has no field `file`"));
    }
    let results: Vec<UploadResultReply> = results.into_values().collect();
    let stored = results.iter().filter(|result| result.object.is_some()).count();
    Ok(axum::Json(ObjectsReply { stored, refused: results.len() - stored, results }))
}

/// What the files of a form have in common.
struct FormUpload {
    uploads: Uploads,
    search: Search,
    defaults: Defaults,
    params: UploadParams,
    options: UploadOptions,
}

impl FormUpload {
    async fn read_prefix(&self, field: Field<'_>) -> Result<String, ApiError> {
        let mut permit = self.search.admit_upload().await?;
        let bytes = read_field(field, MAX_KEY_BYTES, &mut permit).await?;
        let bytes =
            bytes.ok_or_else(|| ApiError::invalid("prefix", format!("at most {MAX_KEY_BYTES} bytes are allowed")))?;
        String::from_utf8(bytes.into()).map_err(|_| ApiError::malformed("the field `prefix` is not UTF-8"))
    }

    /// Reads a file and starts its upload. Fails only if the form itself cannot be read.
    async fn start(
        &self,
        field: Field<'_>,
        prefix: Option<&str>,
        number: usize,
        tasks: &mut JoinSet<(usize, UploadResultReply)>,
    ) -> Result<(), ApiError> {
        let key = format!("{}{}", prefix.unwrap_or_default(), file_name(&field));
        let shown = shown_name(&field);
        let target = self.uploads.target(self.params.bucket.as_deref(), &self.params.collection(&self.defaults), &key);
        let mut permit = self.search.admit_upload().await?;
        let limit = self.defaults.max_image_bytes;
        let bytes = read_field(field, limit, &mut permit).await?;
        let (uploads, options) = (self.uploads.clone(), self.options.clone());
        tasks.spawn(async move {
            let result = match (target, bytes) {
                (Ok(target), Some(bytes)) => {
                    uploads.store(target, bytes, options, permit).await.map_err(ApiError::from)
                }
                (Ok(_), None) => Err(file_too_large(limit)),
                (Err(error), _) => Err(error.into()),
            };
            (number, UploadResultReply::new(shown, result))
        });
        Ok(())
    }
}

/// Returns the name of the file of a field. Some browsers send the path of the file.
fn file_name<'a>(field: &'a Field<'_>) -> &'a str {
    field.file_name().unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default()
}

/// Returns the part of a file's name that its result shows.
fn shown_name(field: &Field<'_>) -> String {
    file_name(field).chars().take(MAX_NAME_CHARACTERS).collect()
}
