//! The bytes of a file in the OpenAPI document.

use utoipa::ToSchema;

/// The bytes of the file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes bodies to readers of the API")]
pub(in crate::api) struct FileBytes(Vec<u8>);
