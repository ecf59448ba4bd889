//! Limits on the size of requests that a server has shown by refusing a larger one.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tonic::{Code, Status};

use crate::lock::lock;

/// How long a limit applies. After that larger requests are tried again: the limit may have been raised.
const LIMIT_TTL: Duration = Duration::from_mins(10);

/// The largest size that the server accepts, if it has recently refused a larger one.
#[derive(Debug, Default)]
pub(super) struct SizeLimit(Mutex<Option<(usize, Instant)>>);

impl SizeLimit {
    /// Returns `usual`, or the limit if that is smaller.
    pub(super) fn cap(&self, usual: usize) -> usize {
        match *lock(&self.0) {
            Some((limit, until)) if Instant::now() < until => usual.min(limit),
            Some(_) | None => usual,
        }
    }

    /// Records that the server refuses more than `limit`. If there is a limit already, the smaller of the two applies.
    pub(super) fn lower(&self, limit: usize) {
        let limit = self.cap(limit).max(1);
        let until = Instant::now() + LIMIT_TTL;
        *lock(&self.0) = Some((limit, until));
    }
}

/// Returns `Some` if a gRPC call was refused because its message is too large. Recognises the messages of tonic, of
/// grpc-go and of an HTTP proxy. The inner value is the allowed number of bytes, if the message contains it.
#[expect(clippy::option_option, reason = "a limit whose value is unknown is not the same as no limit")]
pub(super) fn message_limit(status: &Status) -> Option<Option<usize>> {
    if !matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::Unknown) {
        return None;
    }
    let message = status.message();
    if let Some((_, rest)) = message.split_once("message length too large") {
        return Some(rest.split_once("the limit is: ").and_then(|(_, rest)| number(rest)));
    }
    if let Some((_, rest)) = message.split_once("message larger than max") {
        return Some(rest.split_once("vs. ").and_then(|(_, rest)| number(rest)));
    }
    message.contains("HTTP status code 413").then_some(None)
}

/// Returns the number at the beginning of `text`.
pub(super) fn number(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_applies_and_is_at_least_one() {
        let size_limit = SizeLimit::default();
        assert_eq!(size_limit.cap(256), 256);
        size_limit.lower(100);
        assert_eq!((size_limit.cap(256), size_limit.cap(50)), (100, 50));
        size_limit.lower(200);
        assert_eq!(size_limit.cap(256), 100);
        size_limit.lower(0);
        assert_eq!(size_limit.cap(256), 1);
    }

    #[test]
    fn a_limit_expires() {
        let size_limit = SizeLimit(Mutex::new(Some((100, Instant::now()))));
        assert_eq!(size_limit.cap(256), 256);
    }
}
