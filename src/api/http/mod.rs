//! What every route uses: extractors, errors, and the middleware that is not about authentication.

pub(in crate::api) mod allowed;
pub(in crate::api) mod bounded_json;
pub(in crate::api) mod caching;
pub(in crate::api) mod cors;
pub(in crate::api) mod disposition;
pub(in crate::api) mod encoding;
mod error;
pub(in crate::api) mod extract;
mod file_bytes;
pub(in crate::api) mod form;
mod long_text;
pub(in crate::api) mod parameters;
mod request_id;
pub(in crate::api) mod request_timeout;
pub(in crate::api) mod whole_number;

pub use error::ErrorReply;
pub(super) use error::{ApiError, UnauthorizedReason};
pub(super) use extract::{Json, MAX_JSON_BYTES, MaybeJson, Path, Query, is_json, parse_described, read_up_to};
pub(super) use file_bytes::FileBytes;
pub(super) use request_id::complete_errors;
