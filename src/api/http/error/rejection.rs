//! The replies to requests that axum cannot read.

use axum::extract::rejection;
use axum::http::StatusCode;

use super::ApiError;

impl From<rejection::JsonRejection> for ApiError {
    fn from(rejected: rejection::JsonRejection) -> Self {
        let message = shortened(rejected.body_text());
        match rejected {
            rejection::JsonRejection::JsonDataError(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", message)
            }
            rejection::JsonRejection::JsonSyntaxError(_) => Self::malformed(message),
            rejection::JsonRejection::MissingJsonContentType(_) => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message)
            }
            other => Self::new(other.status(), "malformed_body", message),
        }
    }
}

/// Maximum number of characters of a message that may contain input of the client.
const MAX_MESSAGE_CHARS: usize = 500;

/// Returns the beginning and the end of a long message: the beginning names the field, the end says what is expected.
fn shortened(message: String) -> String {
    let letters: Vec<char> = message.chars().collect();
    if letters.len() <= MAX_MESSAGE_CHARS {
        return message;
    }
    let (begin, end) = (&letters[..MAX_MESSAGE_CHARS / 2], &letters[letters.len() - MAX_MESSAGE_CHARS / 2..]);
    begin.iter().chain(&['…']).chain(end).collect()
}

impl From<rejection::QueryRejection> for ApiError {
    fn from(rejected: rejection::QueryRejection) -> Self {
        let message = rejected.body_text();
        // "Failed to deserialize query string: limit: invalid digit found in string"
        let detail = message.split_once(": ").map_or(message.as_str(), |(_, detail)| detail);
        let field = detail.split_once(": ").map(|(field, _)| field).filter(|field| !field.contains(' '));
        match field {
            Some(field) => {
                let code = format!("invalid_{field}");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
            }
            None => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", detail),
        }
    }
}

impl From<rejection::PathRejection> for ApiError {
    fn from(rejected: rejection::PathRejection) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_route", rejected.body_text())
    }
}
