//! Parses the body of a reply as JSON. A long body is parsed on a blocking thread: it may repeat eight images beside
//! their vectors.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{EmbedError, failed};
use crate::domain::{FailureKind, InvalidEmbedding};
use crate::http::json_error;

/// Up to this size, parsing takes less time than moving to another thread.
const MAX_INLINE_BYTES: usize = 64 * 1024;

pub(super) async fn parse<T>(name: &'static str, body: Bytes) -> Result<T, EmbedError>
where
    T: DeserializeOwned + Send + 'static,
{
    if body.len() <= MAX_INLINE_BYTES {
        return parse_now(name, &body);
    }
    let parsed = tokio::task::spawn_blocking(move || parse_now(name, &body)).await;
    parsed.unwrap_or_else(|_| Err(failed(name, FailureKind::Failed, "parsing the reply panicked".to_owned())))
}

fn parse_now<T: DeserializeOwned>(name: &str, body: &[u8]) -> Result<T, EmbedError> {
    serde_json::from_slice(body).map_err(|error| {
        if let Some(index) = not_finite(body, &error) {
            return InvalidEmbedding::NotFinite(index).into();
        }
        failed(name, FailureKind::Failed, json_error(body, &error))
    })
}

/// Returns the index in its vector of a `NaN` or `Infinity`, which JSON does not allow but Python's `json` writes. Such
/// a vector is an error of its image; any other invalid JSON is an error of the service.
fn not_finite(body: &[u8], error: &serde_json::Error) -> Option<usize> {
    let line_start = body.split_inclusive(|&byte| byte == b'\n').take(error.line().checked_sub(1)?).map(<[u8]>::len);
    let stop = line_start.sum::<usize>() + error.column().checked_sub(1)?;
    // The parser stops at the first letter of the word, or after the minus sign.
    let word = body.get(stop..)?.trim_ascii_start();
    if !(word.starts_with(b"NaN") || word.starts_with(b"Infinity") || word.starts_with(b"-Infinity")) {
        return None;
    }
    let before = body.get(..stop)?;
    let vector = before.iter().rposition(|&byte| matches!(byte, b'[' | b']'))?;
    if before[vector] == b']' {
        return None;
    }
    Some(memchr::memchr_iter(b',', &before[vector..]).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> EmbedError {
        parse_now::<Vec<Vec<Option<f32>>>>("clip", body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_number_that_only_python_writes_is_an_error_of_the_vector() {
        for word in ["NaN", "Infinity", "-Infinity"] {
            for body in [format!("[[1.0], [2, 3.5,\n {word}, 1]]"), format!("[[1],[2,3.5,{word}]]")] {
                assert_eq!(error(&body), EmbedError::Invalid(InvalidEmbedding::NotFinite(2)), "{body}");
            }
        }
        assert_eq!(error("[[NaN]]"), EmbedError::Invalid(InvalidEmbedding::NotFinite(0)));
    }

    #[test]
    fn invalid_json_is_an_error_of_the_service() {
        for body in ["", "<html>NaN</html>", "[[1,", "[[\"1\"]]", "[[nan]]", "[[1]] NaN", "{\"error\":\"NaN\"}"] {
            let EmbedError::Dependency(down) = error(body) else { panic!("{body}") };
            assert_eq!(down.failure, FailureKind::Failed, "{body}");
        }
        assert!(error(" <!doctype html>").to_string().contains("HTML page"));
    }

    #[tokio::test]
    async fn a_long_reply_is_parsed() {
        let numbers = vec![vec![0.25_f32; 512]; 64];
        let body = Bytes::from(serde_json::to_vec(&numbers).unwrap());
        assert!(body.len() > MAX_INLINE_BYTES);
        assert_eq!(parse::<Vec<Vec<f32>>>("clip", body).await.unwrap(), numbers);
    }
}
