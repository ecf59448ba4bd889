//! Refuses paths and queries that are not UTF-8. Otherwise a search would run with replacement characters instead of
//! the text.

use axum::extract::Request;
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::error::ApiError;

/// Middleware that refuses a request if its decoded path or query is not UTF-8.
pub(in crate::api) async fn refuse_invalid_utf8(request: Request, next: Next) -> Response {
    match invalid_part(request.uri()) {
        None => next.run(request).await,
        Some(part) => not_utf8(&part).into_response(),
    }
}

fn not_utf8(part: &str) -> ApiError {
    let message = format!("{part} is not UTF-8: encode its characters as UTF-8 and percent-encode the bytes");
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_utf8", message)
}

/// Returns the name of the first part of a URI that is not UTF-8.
fn invalid_part(uri: &Uri) -> Option<String> {
    let is_utf8 = |text: &str| percent_decode_str(text).decode_utf8().is_ok();
    if !is_utf8(uri.path()) {
        return Some("the path".to_owned());
    }
    let wrong = uri.query().unwrap_or_default().split('&').find(|pair| !is_utf8(pair))?;
    let name = percent_decode_str(wrong.split('=').next().unwrap_or_default()).decode_utf8_lossy();
    let name: String = name.chars().filter(|character| !character.is_control()).take(MAX_NAME).collect();
    Some(format!("the query parameter `{name}`"))
}

/// Maximum number of characters of a parameter name in the message.
const MAX_NAME: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_utf8_is_found_in_every_part() {
        for (uri, expected) in [
            ("/search/images?q=a%ff", Some("the query parameter `q`")),
            ("/search/images?q=a&meta.place=%C3", Some("the query parameter `meta.place`")),
            // Half of a surrogate pair, and an overlong encoding of a slash in two bytes.
            ("/search/images?a=1&q=%ED%A0%80", Some("the query parameter `q`")),
            ("/search/images?q=%C0%AF", Some("the query parameter `q`")),
            ("/jobs/%ff", Some("the path")),
            ("/search/images?q=caf%C3%A9+%F0%9F%90%88&x", None),
            ("/search/images?q=100%&like=%zz", None),
            ("/jobs", None),
        ] {
            assert_eq!(invalid_part(&uri.parse().unwrap()).as_deref(), expected, "{uri}");
        }
        let named = invalid_part(&"/jobs?a%ffb=1".parse().unwrap()).unwrap();
        assert!(named.starts_with("the query parameter `a"), "{named}");
    }
}
