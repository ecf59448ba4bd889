//! Classifies the status of an error reply: wrong input, wrong settings, or failure of the service.

use std::time::Duration;

use reqwest::StatusCode;

use super::{EmbedError, failed};
use crate::domain::Trouble;

/// Retry delay for a busy service that does not send `Retry-After`.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Maximum characters of the body in the log.
const MAX_DETAIL_CHARS: usize = 300;

/// Returns the error for a reply with this status, `Retry-After` and start of a body.
pub(super) fn error(name: &str, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> EmbedError {
    let detail = format!("{status}: {}", one_line(body));
    let trouble = match status {
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            // The body may show internals of the service or repeat the input, so only the log gets it.
            tracing::warn!(provider = name, detail, "the embedding provider refused an input");
            return EmbedError::Rejected(format!("{name} replied {status}; the log has the details"));
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Trouble::TimedOut,
        StatusCode::TOO_MANY_REQUESTS => Trouble::Busy { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) },
        StatusCode::SERVICE_UNAVAILABLE => {
            retry_after.map_or(Trouble::Failed, |retry_after| Trouble::Busy { retry_after })
        }
        // A retry does not help: Ollama replies this for a model that makes no embeddings.
        StatusCode::NOT_IMPLEMENTED => Trouble::Refused,
        status if status.is_server_error() => Trouble::Failed,
        // Wrong key, wrong URL, a redirect or another kind of service: an error of the settings.
        _ => Trouble::Refused,
    };
    failed(name, trouble, detail).into()
}

/// Returns a body as one short line for the log.
fn one_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MAX_DETAIL_CHARS {
        line
    } else {
        format!("{}…", line.chars().take(MAX_DETAIL_CHARS).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(status: u16, retry_after: Option<Duration>) -> Option<Trouble> {
        match error("clip", StatusCode::from_u16(status).unwrap(), retry_after, b"message") {
            EmbedError::Dependency(down) => Some(down.trouble),
            EmbedError::Rejected(_) => None,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_status_means_one_thing() {
        for input in [400, 413, 415, 422] {
            assert_eq!(trouble(input, None), None, "{input}");
        }
        for settings in [301, 307, 401, 403, 404, 405, 410, 418, 501] {
            assert_eq!(trouble(settings, None), Some(Trouble::Refused), "{settings}");
        }
        for down in [500, 502, 503, 507, 599] {
            assert_eq!(trouble(down, None), Some(Trouble::Failed), "{down}");
        }
        for timeout in [408, 504] {
            assert_eq!(trouble(timeout, None), Some(Trouble::TimedOut), "{timeout}");
        }
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(trouble(429, None), Some(Trouble::Busy { retry_after: DEFAULT_RETRY_AFTER }));
        for busy in [429, 503] {
            assert_eq!(
                trouble(busy, retry_after),
                Some(Trouble::Busy { retry_after: Duration::from_secs(7) }),
                "{busy}"
            );
        }
    }

    #[test]
    fn the_body_is_only_for_the_log() {
        let secret = error("clip", StatusCode::BAD_REQUEST, None, b"/srv/models/clip is broken");
        assert!(!secret.to_string().contains("/srv"), "{secret}");
        assert_eq!(one_line(b"  a\r\n\tb\x1b[31m "), "a b [31m");
        assert_eq!(one_line("ä".repeat(1000).as_bytes()).chars().count(), MAX_DETAIL_CHARS + 1);
    }
}
