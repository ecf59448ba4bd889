//! Decodes objects that were stored compressed (`Content-Encoding`). Sizes and ETags are those of the stored bytes;
//! limits apply to the decoded bytes.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::Fetched;
use super::members::{Members, is_gzip, is_zstd};
use crate::domain::FailureClass;
use crate::imaging::sniff;

/// The stored bytes of an object cannot be decoded. Each message names the encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// The encoding is not supported, and the stored bytes are not an image.
    #[error(
        "its Content-Encoding is `{0}`, which is not supported; supported are gzip, deflate, br and zstd, and at most \
         {MAX_LAYERS} of them in a row"
    )]
    Unsupported(String),
    /// The bytes are not valid in their encoding.
    #[error("its Content-Encoding is `{encoding}`, but it cannot be decoded: {reason}")]
    Corrupt {
        /// The header of the object.
        encoding: String,
        /// The message of the decoder.
        reason: String,
    },
    /// The bytes are truncated.
    #[error("its Content-Encoding is `{0}`, but the encoded bytes are truncated")]
    Truncated(String),
    /// The decoded bytes exceed the limit.
    #[error(
        "it has more than {limit} bytes after decoding its Content-Encoding `{encoding}`; at most {limit} bytes are \
         allowed (IMAGE_MAX_SIZE_MB)"
    )]
    TooLarge {
        /// The header of the object.
        encoding: String,
        /// The limit.
        limit: u64,
    },
    /// The decoder panicked.
    #[error("its Content-Encoding is `{0}`, and the decoder panicked")]
    Panicked(String),
}

impl EncodingError {
    /// Returns the class under which a job reports this error.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Unsupported(_) => FailureClass::UnsupportedFormat,
            Self::Corrupt { .. } => FailureClass::Corrupt,
            Self::Truncated(_) => FailureClass::Truncated,
            Self::TooLarge { .. } => FailureClass::TooLarge,
            Self::Panicked(_) => FailureClass::Panicked,
        }
    }
}

/// Maximum number of encodings of one object.
const MAX_LAYERS: usize = 4;
/// Number of bytes that are read to detect the encoding.
const HEAD_BYTES: u64 = 32;
/// The zstd window that every decoder should support (RFC 8878).
const ZSTD_WINDOW: u64 = 8 << 20;
/// Maximum number of characters of the encoding in a message.
const MAX_NAME_CHARS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
    Unknown,
}

/// The stored bytes of an object and their encodings.
#[derive(Clone, Debug)]
pub struct Encoded {
    bytes: Bytes,
    /// The header of the object, for messages.
    header: String,
    /// In the order in which they were applied.
    codings: Vec<Coding>,
}

impl Fetched {
    /// Returns the bytes that must be decoded; `None` if they are not encoded.
    pub fn encoded(&self) -> Option<Encoded> {
        let header = self.content_encoding.as_deref()?;
        let codings: Vec<Coding> = header.split(',').filter_map(parse_coding).collect();
        // If the stored bytes are an image, the header is wrong.
        if codings.is_empty() || sniff(&self.bytes).is_ok() {
            return None;
        }
        let header = header.chars().take(MAX_NAME_CHARS).flat_map(char::escape_debug).collect();
        Some(Encoded { bytes: self.bytes.clone(), header, codings })
    }

    /// Returns the decoded bytes of the object, at most `limit`.
    ///
    /// # Errors
    /// Returns [`EncodingError`] if they cannot be decoded.
    pub async fn decoded(&self, limit: u64) -> Result<Bytes, EncodingError> {
        let Some(encoded) = self.encoded() else { return Ok(self.bytes.clone()) };
        let size = encoded.clone().size(limit).await?;
        encoded.decode(size).await
    }
}

/// Decodes a body of at most `limit` decoded bytes on this thread. `header` is its `Content-Encoding`.
pub(super) fn decode(bytes: Bytes, header: &str, limit: u64) -> Result<Bytes, EncodingError> {
    let encoded =
        Encoded { bytes, header: header.to_owned(), codings: header.split(',').filter_map(parse_coding).collect() };
    let mut decoded = Vec::new();
    encoded.copy(limit, &mut decoded)?;
    Ok(decoded.into())
}

/// Returns `None` for a name that does not change the bytes: `aws-chunked` is the coding of an upload, and the others
/// are not encodings.
fn parse_coding(name: &str) -> Option<Coding> {
    match name.trim().to_ascii_lowercase().as_str() {
        "" | "identity" | "aws-chunked" | "none" | "binary" | "7bit" | "8bit" | "utf-8" | "utf8" => None,
        "gzip" | "x-gzip" => Some(Coding::Gzip),
        "deflate" => Some(Coding::Deflate),
        "br" => Some(Coding::Brotli),
        "zstd" => Some(Coding::Zstd),
        _ => Some(Coding::Unknown),
    }
}

impl Encoded {
    /// Returns the number of decoded bytes, without keeping them. Runs on a thread for blocking work.
    ///
    /// # Errors
    /// Returns [`EncodingError`], also if there are more than `limit` bytes.
    pub async fn size(self, limit: u64) -> Result<u64, EncodingError> {
        self.blocking(move |encoded| encoded.copy(limit, &mut io::sink())).await
    }

    /// Returns the decoded bytes, whose number is `size`. Runs on a thread for blocking work.
    ///
    /// # Errors
    /// Returns [`EncodingError`] if they cannot be decoded.
    pub async fn decode(self, size: u64) -> Result<Bytes, EncodingError> {
        let decode = move |encoded: &Self| {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            encoded.copy(size, &mut bytes)?;
            Ok(bytes.into())
        };
        self.blocking(decode).await
    }

    async fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce(&Self) -> Result<T, EncodingError> + Send + 'static,
    ) -> Result<T, EncodingError> {
        let header = self.header.clone();
        let result = tokio::task::spawn_blocking(move || work(&self)).await;
        result.unwrap_or_else(|panic| {
            tracing::error!(%panic, encoding = header, "a decoder of a Content-Encoding panicked");
            Err(EncodingError::Panicked(header))
        })
    }

    fn copy(&self, limit: u64, to: &mut impl io::Write) -> Result<u64, EncodingError> {
        let encoding = || self.header.clone();
        if self.codings.len() > MAX_LAYERS {
            return Err(EncodingError::Unsupported(encoding()));
        }
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => EncodingError::Truncated(encoding()),
            io::ErrorKind::Unsupported => EncodingError::Unsupported(encoding()),
            _ => EncodingError::Corrupt { encoding: encoding(), reason: error.to_string() },
        };
        let mut reader: Box<dyn Read + '_> = Box::new(&self.bytes[..]);
        for coding in self.codings.iter().rev() {
            reader = remove_layer(*coding, reader, limit).map_err(failed)?;
        }
        let copied = io::copy(&mut reader.take(limit + 1), to).map_err(failed)?;
        if copied > limit {
            return Err(EncodingError::TooLarge { encoding: encoding(), limit });
        }
        Ok(copied)
    }
}

/// Removes one encoding. If the bytes are visibly not in this encoding, they are returned unchanged.
fn remove_layer<'a>(coding: Coding, mut inner: Box<dyn Read + 'a>, limit: u64) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = Vec::new();
    inner.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    let image = sniff(&head).is_ok();
    let zlib = matches!(head[..], [method, check, ..]
        if method & 0x0F == 8 && (u16::from(method) << 8 | u16::from(check)).is_multiple_of(31));
    let (gzip, zstd) = (is_gzip(&head), is_zstd(&head));
    let mut whole = BufReader::new(Cursor::new(head).chain(inner));
    let decoder: Box<dyn Read + 'a> = match coding {
        _ if image => Box::new(whole),
        Coding::Gzip if gzip => Box::new(Members::<_, GzDecoder<_>>::new(whole, limit)?),
        Coding::Deflate if zlib => Box::new(ZlibDecoder::new(whole)),
        Coding::Deflate => Box::new(DeflateDecoder::new(whole)),
        Coding::Brotli => Box::new(Decompressor::new(whole, 4096)),
        Coding::Zstd if zstd => {
            Box::new(Members::<_, StreamingDecoder<_, FrameDecoder>>::new(whole, ZSTD_WINDOW.max(limit))?)
        }
        Coding::Gzip | Coding::Zstd => Box::new(whole),
        // No bytes are valid in every encoding.
        Coding::Unknown if whole.fill_buf()?.is_empty() => Box::new(whole),
        Coding::Unknown => return Err(io::ErrorKind::Unsupported.into()),
    };
    // An inner layer must not produce endless data of which the outer layer uses only a little.
    Ok(Box::new(decoder.take(limit.saturating_mul(2).saturating_add(1))))
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
