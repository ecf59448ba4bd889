//! Extracts the body of a request of a worker.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::http::ApiError;
use crate::api::http::allowed::invalid_body;
use crate::api::http::extract::{parse_json, read_body};
use crate::jobs::Bounded;

/// Extracts a JSON object and checks the bounds of its fields.
pub(super) struct Checked<T>(pub(super) T);

impl<T: DeserializeOwned + Bounded, S: Send + Sync> FromRequest<S> for Checked<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (headers, bytes) = read_body(request).await?;
        let body: T = parse_json(&headers, &bytes, |error| {
            // The types of the protocol say in their own words what is wrong, for example with the name of a worker.
            let message = || error.to_string().chars().take(MAX_MESSAGE_CHARS).collect::<String>();
            too_long(&bytes).or_else(|| error.is_data().then(|| invalid_body(message())))
        })?;
        body.check()?;
        Ok(Self(body))
    }
}

/// Maximum number of characters of a message that may contain input of the worker.
const MAX_MESSAGE_CHARS: usize = 500;

/// If a body cannot be parsed, a text of more bytes than this, or a list of more entries than [`LONG_LIST`], is
/// reported as the reason.
const LONG_TEXT: usize = 64 * 1024;
const LONG_LIST: usize = 10_000;

/// Returns the error for the first field that is too long, in a body that cannot be parsed. The type of the body may
/// not have this field.
fn too_long(bytes: &[u8]) -> Option<ApiError> {
    let body: Value = serde_json::from_slice(bytes).ok()?;
    let (field, problem) = too_long_field("body", &body)?;
    let plain: String = field.chars().filter(char::is_ascii_graphic).take(64).collect();
    Some(ApiError::invalid(&plain, problem))
}

fn too_long_field<'a>(name: &'a str, value: &'a Value) -> Option<(&'a str, String)> {
    match value {
        Value::String(text) if text.len() > LONG_TEXT => {
            Some((name, format!("has {} bytes; at most {LONG_TEXT} are allowed", text.len())))
        }
        Value::Array(items) if items.len() > LONG_LIST => {
            Some((name, format!("has {} entries; at most {LONG_LIST} are allowed", items.len())))
        }
        Value::Array(items) => items.iter().find_map(|item| too_long_field(name, item)),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| too_long_field(name, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
