//! `Content-Encoding`: what an object's bytes were compressed with before they were stored. Everything that reads an object
//! decodes it here. Sizes and ETags stay those of the stored bytes; limits hold for what comes out.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::Fetched;
use super::members::{Members, is_gzip, is_zstd};
use crate::domain::FailureClass;
use crate::imaging::sniff;

/// An object whose stored bytes cannot be decoded. Each message names the encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// An encoding that is not known, over bytes that are not an image as they are.
    #[error(
        "its Content-Encoding is `{0}`, which is not supported; gzip, deflate, br and zstd are, at most {MAX_LAYERS} over each other"
    )]
    Unsupported(String),
    /// The bytes contradict their encoding.
    #[error("its Content-Encoding is `{encoding}`, but it cannot be decoded: {reason}")]
    Corrupt {
        /// As the object has it.
        encoding: String,
        /// What the decoder said.
        reason: String,
    },
    /// The bytes end too early.
    #[error("its Content-Encoding is `{0}`, but the encoded bytes end too early")]
    Truncated(String),
    /// More bytes come out than are allowed.
    #[error(
        "decoded from its Content-Encoding `{encoding}` it has more than {limit} bytes, which are allowed (IMAGE_MAX_SIZE_MB)"
    )]
    TooLarge {
        /// As the object has it.
        encoding: String,
        /// The limit.
        limit: u64,
    },
    /// The decoder panicked.
    #[error("its Content-Encoding is `{0}`; the decoder panicked over it")]
    Panicked(String),
}

impl EncodingError {
    /// The class of the failure.
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

/// Encodings over each other.
const MAX_LAYERS: usize = 4;
/// Bytes of which a layer says what it is.
const HEAD: u64 = 32;
/// The window of zstd that every decoder should allow (RFC 8878).
const ZSTD_WINDOW: u64 = 8 << 20;
/// Characters of an encoding that an error names.
const NAMED: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
    Unknown,
}

/// The stored bytes of an object and what they were encoded with.
#[derive(Clone, Debug)]
pub struct Encoded {
    bytes: Bytes,
    /// As the object has it, for messages.
    header: String,
    /// The last was applied last.
    codings: Vec<Coding>,
}

impl Fetched {
    /// The object's bytes as what must be decoded; `None` if they are as they were before they were stored.
    pub fn encoded(&self) -> Option<Encoded> {
        let header = self.content_encoding.as_deref()?;
        let codings: Vec<Coding> = header.split(',').filter_map(coding).collect();
        // What says that it is encoded and is an image is plain: the header was set by mistake.
        if codings.is_empty() || sniff(&self.bytes).is_ok() {
            return None;
        }
        let header = header.chars().take(NAMED).flat_map(char::escape_debug).collect();
        Some(Encoded { bytes: self.bytes.clone(), header, codings })
    }

    /// The object's bytes as they were before they were stored, at most `limit`.
    ///
    /// # Errors
    /// [`EncodingError`]
    pub async fn decoded(&self, limit: u64) -> Result<Bytes, EncodingError> {
        let Some(encoded) = self.encoded() else { return Ok(self.bytes.clone()) };
        let size = encoded.clone().size(limit).await?;
        encoded.decode(size).await
    }
}

/// `None` for what changes nothing: `aws-chunked` is how an SDK sent it, the others are no encodings.
fn coding(name: &str) -> Option<Coding> {
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
    /// How many bytes come out: decodes all and keeps nothing. Runs on a thread for blocking work.
    ///
    /// # Errors
    /// [`EncodingError`], also if it is more than `limit`.
    pub async fn size(self, limit: u64) -> Result<u64, EncodingError> {
        self.blocking(move |encoded| encoded.copy(limit, &mut io::sink())).await
    }

    /// The bytes, of which there are `size`. Runs on a thread for blocking work.
    ///
    /// # Errors
    /// [`EncodingError`]
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
        let worked = tokio::task::spawn_blocking(move || work(&self)).await;
        worked.unwrap_or_else(|panic| {
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
            reader = layer(*coding, reader, limit).map_err(failed)?;
        }
        let copied = io::copy(&mut reader.take(limit + 1), to).map_err(failed)?;
        if copied > limit {
            return Err(EncodingError::TooLarge { encoding: encoding(), limit });
        }
        Ok(copied)
    }
}

/// One encoding taken off. What is not encoded as it says stays as it is, if that can be seen.
fn layer<'a>(coding: Coding, mut inner: Box<dyn Read + 'a>, limit: u64) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = Vec::new();
    inner.by_ref().take(HEAD).read_to_end(&mut head)?;
    let image = sniff(&head).is_ok();
    let zlib = matches!(head[..], [method, check, ..] if method & 0x0F == 8 && (u16::from(method) << 8 | u16::from(check)).is_multiple_of(31));
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
        // Nothing is nothing, whatever it was encoded with.
        Coding::Unknown if whole.fill_buf()?.is_empty() => Box::new(whole),
        Coding::Unknown => return Err(io::ErrorKind::Unsupported.into()),
    };
    // A layer below must not give without end what the one above takes little from.
    Ok(Box::new(decoder.take(limit.saturating_mul(2).saturating_add(1))))
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
