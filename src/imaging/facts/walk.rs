//! Iterates over the parts of a file without decoding them: JPEG segments, PNG and WebP chunks, GIF blocks, ISO boxes.
//!
//! The facts of the header (size, frames, orientation) come from this module and not from the decoders, so that an
//! image can be rejected before a decoder has allocated any memory.

/// One JPEG marker: its code, the data after its length (empty for markers without a length), and the offset after it.
pub(crate) struct Segment<'a> {
    pub(crate) marker: u8,
    pub(crate) body: &'a [u8],
    pub(crate) end: usize,
}

/// Returns the segment of the first marker at or after `from`, or `None` if the file ends before the end of the
/// segment.
pub(crate) fn jpeg_segment(bytes: &[u8], from: usize) -> Option<Segment<'_>> {
    let mut at = from;
    loop {
        at += memchr::memchr(0xFF, bytes.get(at..)?)?;
        // Any number of FF bytes can precede a marker; FF 00 is a byte of data.
        while *bytes.get(at)? == 0xFF {
            at += 1;
        }
        let marker = bytes[at];
        at += 1;
        match marker {
            0x00 => {}
            0x01 | 0xD0..=0xD9 => return Some(Segment { marker, body: &[], end: at }),
            _ => {
                let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
                let body = bytes.get(at + 2..at + length.max(2))?;
                return Some(Segment { marker, body, end: at + length.max(2) });
            }
        }
    }
}

/// Returns the PNG chunks as type and data. Stops at a truncated chunk.
pub(crate) fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (data, after) = after.split_at_checked(length)?;
        rest = after.get(4..).unwrap_or_default();
        Some((kind, data))
    })
}

/// Returns the chunks of a RIFF body as type and data. A truncated chunk is returned as far as it exists and is the
/// last one.
pub(crate) fn riff_chunks(body: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let data = &after[..length.min(after.len())];
        rest = after.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some((kind, data))
    })
}

/// Iterates over the boxes of an ISO base media file (kind and content) that are complete. What remains after the last one is
/// a truncated box.
#[cfg(any(feature = "heic", feature = "avif", feature = "jxl"))]
#[derive(Clone)]
pub(crate) struct Boxes<'a>(pub(crate) &'a [u8]);

#[cfg(any(feature = "heic", feature = "avif", feature = "jxl"))]
impl<'a> Iterator for Boxes<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (size, rest) = self.0.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (header, size) = match u32::from_be_bytes(*size) {
            // Up to the end of the file.
            0 => (8, self.0.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        let content = self.0.get(header..size)?;
        self.0 = &self.0[size..];
        Some((kind, content))
    }
}

/// Facts from the blocks of a GIF.
#[derive(Default)]
pub(crate) struct GifFrames {
    /// The number of frames, as far as the file goes.
    pub(crate) count: u32,
    /// The position and size of the first frame in pixels: left, top, width, height.
    pub(crate) first: Option<[u16; 4]>,
    /// Whether the file has its last block.
    pub(crate) is_complete: bool,
}

pub(crate) fn gif_frames(bytes: &[u8]) -> GifFrames {
    let palette_bytes = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut frames = GifFrames::default();
    let mut at = 13 + palette_bytes(bytes.get(10).copied().unwrap_or(0));
    while let Some(&block) = bytes.get(at) {
        at += match block {
            0x21 => 2,
            0x2C => {
                let Some(&[l0, l1, t0, t1, w0, w1, h0, h1, flags]) = bytes.get(at + 1..at + 10) else { break };
                let place = [[l0, l1], [t0, t1], [w0, w1], [h0, h1]].map(u16::from_le_bytes);
                frames.count += 1;
                frames.first.get_or_insert(place);
                // The descriptor, its palette, and the first byte of the compressed data.
                10 + palette_bytes(flags) + 1
            }
            other => {
                frames.is_complete = other == 0x3B;
                break;
            }
        };
        // Sub-blocks, each with its length; an empty one is the last.
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
    frames
}
