//! What a server has shown about the size of requests that it takes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::{Code, Status};

/// How long a limit is remembered. After that the server is tried again: its limit may have been raised.
const REMEMBERED: Duration = Duration::from_mins(10);

/// The largest size that a server has taken lately, if it has refused a larger one.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<Option<(usize, Instant)>>);

impl Learned {
    /// `usual`, or less if the server refused so much.
    pub(super) fn cap(&self, usual: usize) -> usize {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((limit, until)) if Instant::now() < until => usual.min(limit),
            Some(_) | None => usual,
        }
    }

    /// The server refused more than `limit`. Of two limits that were learned the smaller one counts.
    pub(super) fn learn(&self, limit: usize) {
        let limit = self.cap(limit).max(1);
        let until = Instant::now() + REMEMBERED;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((limit, until));
    }
}

/// The limit of a message's size that a gRPC call was refused for, if it was: in the words of tonic, of grpc-go and of an
/// HTTP proxy. The number of bytes that are allowed, if the sentence names it.
#[expect(clippy::option_option, reason = "a limit that is not named is another thing than no limit")]
pub(super) fn message_limit(status: &Status) -> Option<Option<usize>> {
    if !matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::Unknown) {
        return None;
    }
    let said = status.message();
    if let Some((_, rest)) = said.split_once("message length too large") {
        return Some(rest.split_once("the limit is: ").and_then(|(_, rest)| number(rest)));
    }
    if let Some((_, rest)) = said.split_once("message larger than max") {
        return Some(rest.split_once("vs. ").and_then(|(_, rest)| number(rest)));
    }
    said.contains("HTTP status code 413").then_some(None)
}

/// The number at the beginning of `text`.
pub(super) fn number(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts_and_is_never_zero() {
        let learned = Learned::default();
        assert_eq!(learned.cap(256), 256);
        learned.learn(100);
        assert_eq!((learned.cap(256), learned.cap(50)), (100, 50));
        learned.learn(200);
        assert_eq!(learned.cap(256), 100);
        learned.learn(0);
        assert_eq!(learned.cap(256), 1);
    }

    #[test]
    fn a_limit_is_forgotten_after_a_while() {
        let learned = Learned(Mutex::new(Some((100, Instant::now()))));
        assert_eq!(learned.cap(256), 256);
    }
}
