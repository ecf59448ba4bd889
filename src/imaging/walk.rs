//! Steps through the parts of a file without decoding any of them: JPEG segments, PNG and WebP chunks, GIF blocks.
//!
//! The header's facts (size, frames, orientation) come from here and not from the decoders, so that a image
//! can be refused before a decoder has allocated a byte.

/// One JPEG marker: its code, what follows its length (empty for markers without one), and where the next begins.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) body: &'a [u8],
    pub(super) end: usize,
}

/// The segment whose marker is the first one at or after `from`; `None` where the file ends before it does.
pub(super) fn jpeg_segment(bytes: &[u8], from: usize) -> Option<Segment<'_>> {
    let mut at = from;
    loop {
        at += memchr::memchr(0xFF, bytes.get(at..)?)?;
        // Any number of FF may stand before a marker; FF 00 is a byte of data.
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

/// The PNG chunks as type and data; stops where a chunk is cut.
pub(super) fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
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

/// The chunks of a RIFF body as type and data. A chunk that is cut gives what there is of it, and is the last.
pub(super) fn riff_chunks(body: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
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

/// What a GIF's blocks say.
#[derive(Default)]
pub(super) struct GifFrames {
    /// How many there are, as far as the file goes.
    pub(super) count: u32,
    /// Where the first one lies: left, top, width, height.
    pub(super) first: Option<[u16; 4]>,
}

pub(super) fn gif_frames(bytes: &[u8]) -> GifFrames {
    let palette = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut frames = GifFrames::default();
    let mut at = 13 + palette(bytes.get(10).copied().unwrap_or(0));
    while let Some(&block) = bytes.get(at) {
        at += match block {
            0x21 => 2,
            0x2C => {
                let Some(&[l0, l1, t0, t1, w0, w1, h0, h1, flags]) = bytes.get(at + 1..at + 10) else { break };
                let place = [[l0, l1], [t0, t1], [w0, w1], [h0, h1]].map(u16::from_le_bytes);
                frames.count += 1;
                frames.first.get_or_insert(place);
                // The descriptor, its palette, and the byte that begins the compressed data.
                10 + palette(flags) + 1
            }
            _ => break,
        };
        // Sub-blocks, each with its length, up to an empty one.
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
    }
    frames
}
