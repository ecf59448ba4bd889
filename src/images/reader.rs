//! Reads an object from the bucket piece by piece. The connection to the bucket can be closed and opened again between
//! two pieces.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::ImagesError;
use super::objects::{Objects, to_client_error};
use crate::domain::ImageUri;
use crate::source::{Opened, Part, SourceError};

/// Maximum number of bytes of one piece.
const PIECE_BYTES: usize = 64 * 1024;
/// Number of bytes that are requested at once for a client that has been slow.
const SLOW_PART_BYTES: u64 = 1024 * 1024;
/// Number of bytes that are needed to detect the format of a file: for camera RAW, its first directory.
const HEAD_BYTES: usize = 4096;
/// Maximum number of bytes that are read and dropped instead of sending a new request, because that is cheaper.
const MAX_SKIP_BYTES: u64 = 256 * 1024;

/// Reads an object from an offset on.
pub(super) struct Reader {
    bucket: Option<Objects>,
    uri: ImageUri,
    etag: Option<String>,
    /// The offset of the next byte to return.
    next_offset: u64,
    /// The offset after the last byte to return; `None` if the size is not known.
    end: Option<u64>,
    /// Bytes that were read in advance, from `buffer_offset` on.
    buffer: Bytes,
    /// The offset of the first byte of `buffer`, or of the next piece of `body`.
    buffer_offset: u64,
    body: Option<BoxStream<'static, Result<Bytes, SourceError>>>,
    /// Whether the client was so slow that the connection to the bucket was closed.
    is_slow: bool,
    /// The value of `next_offset` when `body` was opened.
    opened_at: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("uri", &self.uri).field("next_offset", &self.next_offset).finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(bucket: Objects, uri: ImageUri, opened: Opened) -> Self {
        Self {
            bucket: Some(bucket),
            uri,
            etag: opened.etag,
            next_offset: 0,
            end: opened.size_bytes,
            buffer: Bytes::new(),
            buffer_offset: 0,
            body: Some(opened.body),
            is_slow: false,
            opened_at: 0,
        }
    }

    /// Creates a reader of bytes that are already in memory.
    pub(super) fn from_bytes(bytes: Bytes) -> Self {
        let end = Some(bytes.len() as u64);
        let (uri, body) = (ImageUri::new("", ""), stream::empty().boxed());
        Self {
            bucket: None,
            uri,
            etag: None,
            next_offset: 0,
            end,
            buffer: bytes,
            buffer_offset: 0,
            body: Some(body),
            is_slow: false,
            opened_at: 0,
        }
    }

    /// Returns the first bytes without consuming them.
    pub(super) async fn head(&mut self) -> Result<Bytes, ImagesError> {
        let mut head = BytesMut::new();
        while head.len() < HEAD_BYTES {
            let Some(piece) = self.body.as_mut() else { break };
            match piece.next().await {
                Some(Ok(bytes)) => head.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(to_client_error(&self.uri, error)),
                None => break,
            }
        }
        self.buffer = head.freeze();
        Ok(self.buffer.slice(..self.buffer.len().min(HEAD_BYTES)))
    }

    /// Continues at offset `from`, up to `end` (exclusive).
    pub(super) async fn seek(&mut self, from: u64, end: u64) -> Result<(), ImagesError> {
        (self.next_offset, self.end) = (from, Some(end));
        let read = self.buffer_offset + self.buffer.len() as u64;
        if from > read + MAX_SKIP_BYTES {
            self.buffer = Bytes::new();
            self.reopen().await.map_err(|error| to_client_error(&self.uri, error))?;
        }
        Ok(())
    }

    /// Closes the connection to the bucket, if it can be opened again at this offset.
    pub(super) fn release(&mut self) {
        if self.bucket.is_some() && self.end.is_some() && self.etag.is_some() {
            self.body = None;
            self.is_slow = true;
        }
    }

    /// Returns the next piece, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            if self.end.is_some_and(|end| self.next_offset >= end) {
                return Ok(None);
            }
            if let Some(piece) = self.next_buffered() {
                return Ok(Some(piece));
            }
            let Some(body) = self.body.as_mut() else {
                self.reopen().await?;
                continue;
            };
            match body.next().await.transpose()? {
                Some(bytes) => self.buffer = bytes,
                // The end of a part. An empty part must not be requested again, because that would repeat for ever.
                None if self.is_slow && self.next_offset > self.opened_at => self.body = None,
                None => return self.check_end(),
            }
        }
    }

    /// Returns the next bytes of `buffer`.
    fn next_buffered(&mut self) -> Option<Bytes> {
        let to_skip = self.next_offset.saturating_sub(self.buffer_offset);
        let skipped = usize::try_from(to_skip).unwrap_or(usize::MAX).min(self.buffer.len());
        drop(self.buffer.split_to(skipped));
        self.buffer_offset += skipped as u64;
        let left = self.end.map_or(usize::MAX, |end| usize::try_from(end - self.next_offset).unwrap_or(usize::MAX));
        let length = self.buffer.len().min(PIECE_BYTES).min(left);
        if length == 0 {
            return None;
        }
        self.buffer_offset += length as u64;
        self.next_offset = self.buffer_offset;
        Some(self.buffer.split_to(length))
    }

    /// The body has ended. Returns an error if more bytes were expected.
    fn check_end(&self) -> Result<Option<Bytes>, SourceError> {
        match self.end {
            None => Ok(None),
            Some(expected) => Err(SourceError::BrokenOff { uri: self.uri.clone(), got: self.next_offset, expected }),
        }
    }

    async fn reopen(&mut self) -> Result<(), SourceError> {
        let Some(Objects(bucket)) = &self.bucket else { return self.check_end().map(drop) };
        let last = self.end.map(|end| if self.is_slow { end.min(self.next_offset + SLOW_PART_BYTES) } else { end } - 1);
        let part = Part { from: self.next_offset, to: last, etag: self.etag.clone() };
        // The old connection is closed first.
        self.body = None;
        let opened = bucket.open(&self.uri, Some(&part)).await?;
        if self.etag.is_some() && opened.etag != self.etag {
            let reason = "the object was replaced while it was being read".to_owned();
            return Err(SourceError::Refused { what: self.uri.to_string(), reason });
        }
        self.buffer_offset = if opened.is_part { self.next_offset } else { 0 };
        self.body = Some(opened.body);
        self.opened_at = self.next_offset;
        Ok(())
    }
}
