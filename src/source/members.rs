//! Decodes compressed data that consists of several consecutive parts: gzip members (RFC 1952) and zstd frames (RFC
//! 8878).

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Whether these bytes are the beginning of a gzip member.
pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&GZIP_MAGIC)
}

/// Whether these bytes are the beginning of a zstd frame, or of a skippable frame, which parallel compressors write
/// first.
pub(super) fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(&ZSTD_MAGIC) || is_skippable(head)
}

fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..])
}

/// A decoder of one part.
pub(super) trait Member<R: BufRead>: Read + Sized {
    /// Returns the decoder of the part that begins at the next byte; `None` if no part begins there. `window` is the
    /// maximum size in bytes of the window of a part.
    fn begin(source: Lookahead<R>, window: u64) -> io::Result<Option<Self>>;
    /// Returns the source, at the position after the part.
    fn into_source(self) -> Lookahead<R>;
}

impl<R: BufRead> Member<R> for GzDecoder<Lookahead<R>> {
    fn begin(mut source: Lookahead<R>, _: u64) -> io::Result<Option<Self>> {
        Ok(is_gzip(source.peek(GZIP_MAGIC.len())?).then(|| Self::new(source)))
    }

    fn into_source(self) -> Lookahead<R> {
        self.into_inner()
    }
}

impl<R: BufRead> Member<R> for StreamingDecoder<Lookahead<R>, FrameDecoder> {
    fn begin(mut source: Lookahead<R>, window: u64) -> io::Result<Option<Self>> {
        while is_skippable(source.peek(ZSTD_MAGIC.len())?) {
            let mut header = [0; 8];
            source.read_exact(&mut header)?;
            let [_, _, _, _, length @ ..] = header;
            io::copy(&mut source.by_ref().take(u32::from_le_bytes(length).into()), &mut io::sink())?;
        }
        if source.peek(ZSTD_MAGIC.len())? != ZSTD_MAGIC {
            return Ok(None);
        }
        let decoder = Self::new_with_max_window_size(source, window);
        decoder.map(Some).map_err(|error| io::Error::other(error.to_string()))
    }

    fn into_source(self) -> Lookahead<R> {
        self.into_inner()
    }
}

/// Reads all parts. Ignores bytes after them that are not a part, such as padding.
pub(super) struct Members<R, M> {
    member: Option<M>,
    window: u64,
    source: std::marker::PhantomData<R>,
}

impl<R: BufRead, M: Member<R>> Members<R, M> {
    pub(super) fn new(source: R, window: u64) -> io::Result<Self> {
        let member = M::begin(Lookahead { source, head: Vec::new() }, window)?;
        Ok(Self { member, window, source: std::marker::PhantomData })
    }
}

impl<R: BufRead, M: Member<R>> Read for Members<R, M> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.member.take() {
            let read = member.read(to)?;
            if read > 0 || to.is_empty() {
                self.member = Some(member);
                return Ok(read);
            }
            self.member = M::begin(member.into_source(), self.window)?;
        }
        Ok(0)
    }
}

/// A reader that can return the next bytes without consuming them. `BufRead` alone is not sufficient, because its
/// buffer can end in the middle of these bytes.
pub(super) struct Lookahead<R> {
    source: R,
    head: Vec<u8>,
}

impl<R: BufRead> Lookahead<R> {
    /// Returns the next `length` bytes without consuming them; fewer only at the end.
    fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        let missing = length.saturating_sub(self.head.len());
        self.source.by_ref().take(missing as u64).read_to_end(&mut self.head)?;
        Ok(&self.head[..length.min(self.head.len())])
    }
}

impl<R: BufRead> Read for Lookahead<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(to)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Lookahead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.head.is_empty() { self.source.fill_buf() } else { Ok(&self.head) }
    }

    fn consume(&mut self, amount: usize) {
        if self.head.is_empty() {
            self.source.consume(amount);
        } else {
            self.head.drain(..amount);
        }
    }
}
