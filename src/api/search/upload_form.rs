//! Reads the multipart form of a search by an uploaded image.

use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;

use crate::api::http::ApiError;
use crate::api::http::allowed::{invalid_body, unknown_name};
use crate::api::http::form::{file_too_large, malformed_form, read_field};
use crate::search::UploadPermit;

/// Maximum size of the text in bytes: [`crate::search::MAX_CHARACTERS`] of four bytes each, and room for spaces around
/// them.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The fields of the form.
pub(super) struct ImageForm {
    pub(super) image: Bytes,
    pub(super) file_name: Option<String>,
    pub(super) text: Option<String>,
}

/// Reads a form with an image of at most `max_image_bytes`. `has_text` says whether the query string has the text, so
/// that the form must not have it too.
pub(super) async fn read(
    request: Request,
    max_image_bytes: usize,
    has_text: bool,
    permit: &mut UploadPermit,
) -> Result<ImageForm, ApiError> {
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| ApiError::malformed("the content type has no `boundary`; send a form as multipart/form-data"))?;
    let (mut image, mut file_name, mut text) = (None, None, None);
    let mut has_text = has_text;
    while let Some(field) = form.next_field().await.map_err(|error| malformed_form(&error))? {
        match field.name() {
            Some("file") if image.is_some() => {
                return Err(ApiError::invalid("file", "is given more than once; send one image in each request"));
            }
            Some("file") => {
                file_name = field.file_name().map(str::to_owned);
                let file = read_field(field, max_image_bytes, permit).await?;
                image = Some(file.ok_or_else(|| file_too_large(max_image_bytes))?);
            }
            Some("q") if has_text => {
                let message = "is given more than once; send it either in the form or in the query string";
                return Err(ApiError::invalid("q", message));
            }
            Some("q") => {
                text = read_text(field, permit).await?;
                has_text = text.is_some();
            }
            other => {
                let other = other.unwrap_or("(without a name)");
                return Err(invalid_body(unknown_name("field", other, ["file", "q"].into_iter())));
            }
        }
    }
    let image = image.ok_or_else(|| ApiError::malformed("the form has no field `file`"))?;
    Ok(ImageForm { image, file_name, text })
}

/// Reads the field `q`. A blank text is the same as no text.
async fn read_text(field: Field<'_>, permit: &mut UploadPermit) -> Result<Option<String>, ApiError> {
    let bytes = read_field(field, MAX_TEXT_BYTES, permit).await?.ok_or_else(|| {
        let message = format!("the field `q` is too large; at most {MAX_TEXT_BYTES} bytes are allowed");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    })?;
    let text = String::from_utf8(bytes.into()).map_err(|_| ApiError::malformed("the field `q` is not UTF-8"))?;
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}
