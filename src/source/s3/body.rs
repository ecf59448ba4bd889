//! Reads the body of a reply, with limits for its size and its speed.

use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::errors::dependency;
use crate::domain::{FailureKind, ImageUri, with_causes};
use crate::source::SourceError;

/// The minimum speed of a body, in bytes per second. The SDK has a check of its own, but it lets a body pass that sends
/// one byte every few seconds, so that body would block a worker for days.
const MIN_BYTES_PER_SECOND: u64 = 1024;

/// A body that must arrive at [`MIN_BYTES_PER_SECOND`] on average over each time window. Only the time in which the
/// caller waits for the body counts.
pub(super) struct Body {
    uri: ImageUri,
    stream: ByteStream,
    /// The declared length in bytes.
    length: Option<u64>,
    read: u64,
    /// `S3_TIMEOUT`.
    window: Duration,
    waited: Duration,
    read_in_window: u64,
}

impl Body {
    pub(super) fn new(uri: ImageUri, stream: ByteStream, length: Option<u64>, window: Duration) -> Self {
        Self { uri, stream, length, read: 0, window, waited: Duration::ZERO, read_in_window: 0 }
    }

    /// Returns the next piece, or `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, SourceError>> {
        loop {
            let begun = Instant::now();
            let next = timeout(self.window.saturating_sub(self.waited), self.stream.next()).await;
            self.waited += begun.elapsed();
            if let Ok(next) = next {
                return match next? {
                    Ok(piece) => {
                        self.read += piece.len() as u64;
                        self.read_in_window += piece.len() as u64;
                        Some(Ok(piece))
                    }
                    Err(error) => Some(Err(self.broken(&error))),
                };
            }
            if self.read_in_window < self.min_bytes() {
                return Some(Err(self.too_slow()));
            }
            (self.waited, self.read_in_window) = (Duration::ZERO, 0);
        }
    }

    fn min_bytes(&self) -> u64 {
        u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX).saturating_mul(MIN_BYTES_PER_SECOND) / 1000
    }

    fn too_slow(&self) -> SourceError {
        dependency(
            FailureKind::TimedOut,
            format!(
                "the body of {} is too slow: {} bytes arrived in {} s, at least {MIN_BYTES_PER_SECOND} bytes per second \
                 are expected (S3_TIMEOUT sets the time)",
                self.uri,
                self.read_in_window,
                self.window.as_secs()
            ),
        )
    }

    fn broken(&self, error: &aws_sdk_s3::primitives::ByteStreamError) -> SourceError {
        let detail = with_causes(error);
        // The type of the SDK's own error for a stalled body is private.
        if detail.contains("minimum throughput") || detail.contains("timed out") {
            return dependency(FailureKind::TimedOut, detail);
        }
        SourceError::BrokenOff { uri: self.uri.clone(), got: self.read, expected: self.length.unwrap_or(self.read + 1) }
    }
}

/// Reads the whole body of a reply, at most `limit` bytes.
pub(super) async fn read(
    uri: &ImageUri,
    reply: &mut GetObjectOutput,
    limit: u64,
    window: Duration,
) -> Result<Bytes, SourceError> {
    let length = reply.content_length.and_then(|length| u64::try_from(length).ok());
    check_size(uri, length.unwrap_or(0), limit)?;
    let mut bytes = Vec::with_capacity(length.and_then(|size| usize::try_from(size).ok()).unwrap_or(0));
    let mut body = Body::new(uri.clone(), std::mem::take(&mut reply.body), length, window);
    while let Some(piece) = body.next().await.transpose()? {
        check_size(uri, body.read, limit)?;
        bytes.extend_from_slice(&piece);
    }
    check_length(uri, body.read, length, reply.content_range.as_deref())?;
    Ok(bytes.into())
}

/// Fails if a body that was read to its end is not the whole object: it has another length than declared, or it is only
/// a part of the object (`Content-Range`), which was not requested.
pub(super) fn check_length(
    uri: &ImageUri,
    got: u64,
    length: Option<u64>,
    content_range: Option<&str>,
) -> Result<(), SourceError> {
    let whole = content_range.and_then(|range| range.rsplit_once('/')?.1.trim().parse().ok());
    match [length, whole].into_iter().flatten().find(|expected| *expected != got) {
        Some(expected) => Err(SourceError::BrokenOff { uri: uri.clone(), got, expected }),
        None => Ok(()),
    }
}

/// Fails if the object has more than `limit` bytes.
pub(super) fn check_size(uri: &ImageUri, bytes: u64, limit: u64) -> Result<(), SourceError> {
    if bytes > limit { Err(SourceError::TooLarge { uri: uri.clone(), bytes, limit }) } else { Ok(()) }
}
