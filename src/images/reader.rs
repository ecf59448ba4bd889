//! An object that is read from the bucket piece by piece, and can be let go of in between.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::ImagesError;
use super::objects::{Objects, refused};
use crate::domain::ImageUri;
use crate::source::{Opened, Part, SourceError};

/// Bytes of one piece.
const PIECE: usize = 64 * 1024;
/// Bytes that are asked for at once on behalf of a client that has been slow.
const SLOW_PART: u64 = 1024 * 1024;
/// Bytes that tell the type of a file.
const HEAD: usize = 512;
/// It costs less to read so many bytes and drop them than to ask the bucket again.
const NEAR: u64 = 256 * 1024;

/// A place in an object.
pub(super) struct Reader {
    bucket: Option<Objects>,
    uri: ImageUri,
    etag: Option<String>,
    /// The next byte to give.
    wanted: u64,
    /// The byte after the last one to give; `None` if the size is not known.
    end: Option<u64>,
    /// Bytes that were read ahead, from `position` on.
    ahead: Bytes,
    /// The first byte of `ahead`, or of the next piece of `body`.
    position: u64,
    body: Option<BoxStream<'static, Result<Bytes, SourceError>>>,
    /// Whether the client has kept the bucket waiting.
    slow: bool,
    /// The first byte that was wanted when `body` was opened.
    opened_at: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("uri", &self.uri).field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(bucket: Objects, uri: ImageUri, opened: Opened) -> Self {
        Self {
            bucket: Some(bucket),
            uri,
            etag: opened.etag,
            wanted: 0,
            end: opened.size_bytes,
            ahead: Bytes::new(),
            position: 0,
            body: Some(opened.body),
            slow: false,
            opened_at: 0,
        }
    }

    /// One of bytes that are here already.
    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        let end = Some(bytes.len() as u64);
        let (uri, body) = (ImageUri::new("", ""), stream::empty().boxed());
        Self {
            bucket: None,
            uri,
            etag: None,
            wanted: 0,
            end,
            ahead: bytes,
            position: 0,
            body: Some(body),
            slow: false,
            opened_at: 0,
        }
    }

    /// The first bytes, which stay to be read.
    pub(super) async fn head(&mut self) -> Result<Bytes, ImagesError> {
        let mut head = BytesMut::new();
        while head.len() < HEAD {
            let Some(piece) = self.body.as_mut() else { break };
            match piece.next().await {
                Some(Ok(bytes)) => head.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(refused(&self.uri, error)),
                None => break,
            }
        }
        self.ahead = head.freeze();
        Ok(self.ahead.slice(..self.ahead.len().min(HEAD)))
    }

    /// Goes on at another byte, up to `end`.
    pub(super) async fn seek(&mut self, from: u64, end: u64) -> Result<(), ImagesError> {
        (self.wanted, self.end) = (from, Some(end));
        let read = self.position + self.ahead.len() as u64;
        if from > read + NEAR {
            self.ahead = Bytes::new();
            self.reopen().await.map_err(|error| refused(&self.uri, error))?;
        }
        Ok(())
    }

    /// Closes the connection to the bucket, if it can be opened again at this place.
    pub(super) fn release(&mut self) {
        if self.bucket.is_some() && self.end.is_some() && self.etag.is_some() {
            self.body = None;
            self.slow = true;
        }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            if self.end.is_some_and(|end| self.wanted >= end) {
                return Ok(None);
            }
            if let Some(piece) = self.piece() {
                return Ok(Some(piece));
            }
            let Some(body) = self.body.as_mut() else {
                self.reopen().await?;
                continue;
            };
            match body.next().await.transpose()? {
                Some(bytes) => self.ahead = bytes,
                // The end of a part; one without any bytes would be asked for again and again.
                None if self.slow && self.wanted > self.opened_at => self.body = None,
                None => return self.over(),
            }
        }
    }

    /// The next bytes of what was read ahead.
    fn piece(&mut self) -> Option<Bytes> {
        let before = self.wanted.saturating_sub(self.position);
        let skipped = usize::try_from(before).unwrap_or(usize::MAX).min(self.ahead.len());
        drop(self.ahead.split_to(skipped));
        self.position += skipped as u64;
        let left = self.end.map_or(usize::MAX, |end| usize::try_from(end - self.wanted).unwrap_or(usize::MAX));
        let length = self.ahead.len().min(PIECE).min(left);
        if length == 0 {
            return None;
        }
        self.position += length as u64;
        self.wanted = self.position;
        Some(self.ahead.split_to(length))
    }

    /// The body has ended: where it should, or too early.
    fn over(&self) -> Result<Option<Bytes>, SourceError> {
        match self.end {
            None => Ok(None),
            Some(expected) => Err(SourceError::BrokenOff { uri: self.uri.clone(), got: self.wanted, expected }),
        }
    }

    async fn reopen(&mut self) -> Result<(), SourceError> {
        let Some(Objects(bucket)) = &self.bucket else { return self.over().map(drop) };
        let last = self.end.map(|end| if self.slow { end.min(self.wanted + SLOW_PART) } else { end } - 1);
        let part = Part { from: self.wanted, to: last, etag: self.etag.clone() };
        // The connection that was open goes first.
        self.body = None;
        let opened = bucket.open(&self.uri, Some(&part)).await?;
        if self.etag.is_some() && opened.etag != self.etag {
            let reason = "the object was replaced while it was being read".to_owned();
            return Err(SourceError::Refused { what: self.uri.to_string(), reason });
        }
        self.position = if opened.is_part { self.wanted } else { 0 };
        self.body = Some(opened.body);
        self.opened_at = self.wanted;
        Ok(())
    }
}
