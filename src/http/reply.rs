//! Replies: bodies of bounded size, and what a status means.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::domain::FailureKind;

/// Retry delay for a busy server that does not send `Retry-After`.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Maximum characters of a server's message in a log line.
const MAX_LINE_CHARS: usize = 300;

/// Why the body of a reply could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the reply is longer than {0} bytes")]
    TooLong(usize),
    #[error(transparent)]
    Connection(#[from] reqwest::Error),
}

/// Reads a body of at most `max_bytes`.
pub(crate) async fn read_body(mut response: Response, max_bytes: usize) -> Result<Bytes, BodyError> {
    let declared = response.content_length().map_or(0, |declared| usize::try_from(declared).unwrap_or(usize::MAX));
    if declared > max_bytes {
        return Err(BodyError::TooLong(max_bytes));
    }
    let mut body = Vec::with_capacity(declared);
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(BodyError::TooLong(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// Reads the first bytes of a body, up to `max_bytes` or to the first error.
pub(crate) async fn read_start(mut response: Response, max_bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < max_bytes
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(max_bytes);
    body
}

/// Parses a body as JSON.
///
/// # Errors
/// The message of [`json_error`].
pub(crate) fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| json_error(body, &error))
}

/// Returns the message for a body that is not the expected JSON. A proxy, or another kind of server, may reply with an
/// HTML page and status 200.
pub(crate) fn json_error(body: &[u8], error: &serde_json::Error) -> String {
    let is_html = body.trim_ascii_start().starts_with(b"<");
    let what = if is_html { "the reply is an HTML page" } else { "the reply is not valid" };
    format!("{what}: {error}")
}

/// Returns the kind of failure that the status of an error reply reports.
pub(crate) fn failure_kind(status: StatusCode, retry_after: Option<Duration>) -> FailureKind {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => FailureKind::TimedOut,
        StatusCode::TOO_MANY_REQUESTS => FailureKind::Busy { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) },
        StatusCode::SERVICE_UNAVAILABLE => {
            retry_after.map_or(FailureKind::Failed, |retry_after| FailureKind::Busy { retry_after })
        }
        status if status.is_server_error() => FailureKind::Failed,
        // A wrong key, a wrong address, a redirect or another kind of server: an error of the settings.
        _ => FailureKind::Refused,
    }
}

/// Returns a server's message as one short line for the log.
pub(crate) fn one_line(message: &[u8]) -> String {
    shortened_line(&String::from_utf8_lossy(&message[..message.len().min(16 * MAX_LINE_CHARS)]), MAX_LINE_CHARS)
}

/// Returns the printable characters of a text as one line of at most `max_chars`.
pub(crate) fn shortened_line(text: &str, max_chars: usize) -> String {
    let plain: String = text.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max_chars {
        line
    } else {
        format!("{}…", line.chars().take(max_chars).collect::<String>())
    }
}

/// Whether a character is visible and does not change the order of others on a terminal.
fn is_printable(character: char) -> bool {
    let is_format = matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !character.is_control() && !is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_one_kind_of_failure() {
        let kind = |status: u16, retry_after| failure_kind(StatusCode::from_u16(status).unwrap(), retry_after);
        for settings in [301, 307, 400, 401, 403, 404, 405, 410, 418, 422] {
            assert_eq!(kind(settings, None), FailureKind::Refused, "{settings}");
        }
        for down in [500, 501, 502, 503, 507, 599] {
            assert_eq!(kind(down, None), FailureKind::Failed, "{down}");
        }
        for late in [408, 504] {
            assert_eq!(kind(late, None), FailureKind::TimedOut, "{late}");
        }
        assert_eq!(kind(429, None), FailureKind::Busy { retry_after: DEFAULT_RETRY_AFTER });
        let retry_after = Duration::from_secs(7);
        for busy in [429, 503] {
            assert_eq!(kind(busy, Some(retry_after)), FailureKind::Busy { retry_after }, "{busy}");
        }
    }

    #[test]
    fn a_message_becomes_one_short_line() {
        assert_eq!(one_line(b"  a\r\n\tb\x1b[31m "), "a b [31m");
        assert_eq!(one_line("ä".repeat(9_000).as_bytes()).chars().count(), MAX_LINE_CHARS + 1);
    }
}
