//! What a reply that is no success means: the input's fault, the settings', or the service's own.

use std::time::Duration;

use reqwest::StatusCode;

use super::{EmbedError, failed};
use crate::domain::Trouble;

/// When a service that is busy does not say when to come back.
const SOON: Duration = Duration::from_secs(1);
/// Characters of its words that are kept.
const WORDS: usize = 300;

/// The error of a reply with this status, `Retry-After` and beginning of a body.
pub(super) fn error(name: &str, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> EmbedError {
    let detail = format!("{status}: {}", words(body));
    let trouble = match status {
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            // Its words are its internals, and may repeat the input.
            tracing::warn!(provider = name, detail, "the embedding provider refuses an input");
            return EmbedError::Rejected(format!("{name} answers {status}; what it says is in the log"));
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Trouble::TimedOut,
        StatusCode::TOO_MANY_REQUESTS => Trouble::Busy { retry_after: retry_after.unwrap_or(SOON) },
        StatusCode::SERVICE_UNAVAILABLE => {
            retry_after.map_or(Trouble::Failed, |retry_after| Trouble::Busy { retry_after })
        }
        // It will not learn to do it by being asked again: Ollama says this of a model that makes no embeddings.
        StatusCode::NOT_IMPLEMENTED => Trouble::Refused,
        status if status.is_server_error() => Trouble::Failed,
        // Wrong key, wrong address, a redirection, another kind of service: a matter of settings.
        _ => Trouble::Refused,
    };
    failed(name, trouble, detail).into()
}

/// A body as one short line for the log.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= WORDS { line } else { format!("{}…", line.chars().take(WORDS).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(status: u16, retry_after: Option<Duration>) -> Option<Trouble> {
        match error("clip", StatusCode::from_u16(status).unwrap(), retry_after, b"words") {
            EmbedError::Dependency(down) => Some(down.trouble),
            EmbedError::Rejected(_) => None,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_status_means_one_thing() {
        for content in [400, 413, 415, 422] {
            assert_eq!(trouble(content, None), None, "{content}");
        }
        for settings in [301, 307, 401, 403, 404, 405, 410, 418, 501] {
            assert_eq!(trouble(settings, None), Some(Trouble::Refused), "{settings}");
        }
        for down in [500, 502, 503, 507, 599] {
            assert_eq!(trouble(down, None), Some(Trouble::Failed), "{down}");
        }
        for late in [408, 504] {
            assert_eq!(trouble(late, None), Some(Trouble::TimedOut), "{late}");
        }
        let asked = Some(Duration::from_secs(7));
        assert_eq!(trouble(429, None), Some(Trouble::Busy { retry_after: SOON }));
        for busy in [429, 503] {
            assert_eq!(trouble(busy, asked), Some(Trouble::Busy { retry_after: Duration::from_secs(7) }), "{busy}");
        }
    }

    #[test]
    fn what_it_says_goes_to_the_log_alone() {
        let secret = error("clip", StatusCode::BAD_REQUEST, None, b"/srv/models/clip is broken");
        assert!(!secret.to_string().contains("/srv"), "{secret}");
        assert_eq!(words(b"  a\r\n\tb\x1b[31m "), "a b [31m");
        assert_eq!(words("ä".repeat(1000).as_bytes()).chars().count(), WORDS + 1);
    }
}
