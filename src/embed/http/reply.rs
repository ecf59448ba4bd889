//! A reply's body as JSON. Off the async threads where it is long: eight images may come back beside their vectors.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::{EmbedError, failed};
use crate::domain::{InvalidEmbedding, Trouble};

/// Below it, reading takes less time than going to another thread.
const SHORT: usize = 64 * 1024;

pub(super) async fn parsed<T>(name: &'static str, body: Bytes) -> Result<T, EmbedError>
where
    T: DeserializeOwned + Send + 'static,
{
    if body.len() <= SHORT {
        return read(name, &body);
    }
    let read = tokio::task::spawn_blocking(move || read(name, &body)).await;
    read.unwrap_or_else(|_| Err(failed(name, Trouble::Failed, "reading its reply panicked".to_owned()).into()))
}

fn read<T: DeserializeOwned>(name: &str, body: &[u8]) -> Result<T, EmbedError> {
    serde_json::from_slice(body).map_err(|error| {
        if let Some(place) = not_finite(body, &error) {
            return InvalidEmbedding::NotFinite(place).into();
        }
        let what = if body.trim_ascii_start().starts_with(b"<") { "its reply is a page of HTML" } else { "its reply" };
        failed(name, Trouble::Failed, format!("{what}: {error}")).into()
    })
}

/// The place in its vector of a `NaN` or `Infinity` that JSON does not have but Python's `json` writes. Such a vector is
/// its image's trouble, while a reply that is no JSON at all is the service's.
fn not_finite(body: &[u8], error: &serde_json::Error) -> Option<usize> {
    let line_start = body.split_inclusive(|&byte| byte == b'\n').take(error.line().checked_sub(1)?).map(<[u8]>::len);
    let stopped = line_start.sum::<usize>() + error.column().checked_sub(1)?;
    // The parser stops at the word's first letter, or behind the minus sign.
    let word = body.get(stopped..)?.trim_ascii_start();
    if !(word.starts_with(b"NaN") || word.starts_with(b"Infinity") || word.starts_with(b"-Infinity")) {
        return None;
    }
    let before = body.get(..stopped)?;
    let vector = before.iter().rposition(|&byte| matches!(byte, b'[' | b']'))?;
    if before[vector] == b']' {
        return None;
    }
    Some(memchr::memchr_iter(b',', &before[vector..]).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> EmbedError {
        read::<Vec<Vec<Option<f32>>>>("clip", body.as_bytes()).unwrap_err()
    }

    #[test]
    fn numbers_that_only_python_writes_are_a_vectors_own_trouble() {
        for word in ["NaN", "Infinity", "-Infinity"] {
            for body in [format!("[[1.0], [2, 3.5,\n {word}, 1]]"), format!("[[1],[2,3.5,{word}]]")] {
                assert_eq!(of(&body), EmbedError::Invalid(InvalidEmbedding::NotFinite(2)), "{body}");
            }
        }
        assert_eq!(of("[[NaN]]"), EmbedError::Invalid(InvalidEmbedding::NotFinite(0)));
    }

    #[test]
    fn what_is_no_json_is_the_services_trouble() {
        for body in ["", "<html>NaN</html>", "[[1,", "[[\"1\"]]", "[[nan]]", "[[1]] NaN", "{\"error\":\"NaN\"}"] {
            let EmbedError::Dependency(down) = of(body) else { panic!("{body}") };
            assert_eq!(down.trouble, Trouble::Failed, "{body}");
        }
        assert!(of(" <!doctype html>").to_string().contains("page of HTML"));
    }

    #[tokio::test]
    async fn long_replies_are_read_too() {
        let numbers = vec![vec![0.25_f32; 512]; 64];
        let body = Bytes::from(serde_json::to_vec(&numbers).unwrap());
        assert!(body.len() > SHORT);
        assert_eq!(parsed::<Vec<Vec<f32>>>("clip", body).await.unwrap(), numbers);
    }
}
