//! Copies of files without the faults that every viewer overlooks and a decoder does not.

use std::borrow::Cow;

use super::walk::{jpeg_segment, png_chunks};
use crate::domain::{ImageFormat, ImageMeta};

/// A GIF whose first frame reaches beyond the screen grows the screen, as in every browser; the decoder would cut it.
pub(super) fn before<'a>(bytes: &'a [u8], meta: &ImageMeta) -> Cow<'a, [u8]> {
    let side = |of: u32| u16::try_from(of).map(u16::to_le_bytes);
    match (meta.format, bytes.get(6..10), side(meta.width), side(meta.height)) {
        (ImageFormat::Gif, Some(screen), Ok(width), Ok(height)) if screen != [width, height].concat() => {
            Cow::Owned([&bytes[..6], &width, &height, &bytes[10..]].concat())
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// A JPEG with a JFIF header is in YCbCr, whatever its Adobe segment says: so libjpeg reads it, and so it was written. Decoders
/// that believe the Adobe segment would give wrong colours; in the copy it agrees with the header.
pub(super) fn colour_transform(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (mut jfif, mut says_rgb, mut from) = (false, None, 2);
    while bytes.starts_with(&[0xFF, 0xD8])
        && let Some(segment) = jpeg_segment(bytes, from)
    {
        match (segment.marker, segment.body) {
            (0xE0, body) => jfif |= body.starts_with(b"JFIF\0"),
            (0xEE, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, rest @ ..]) => {
                says_rgb = (*transform == 0).then(|| segment.end - rest.len() - 1);
            }
            (0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF, [_, _, _, _, _, components, ..]) => {
                let Some(at) = says_rgb.filter(|_| jfif && *components == 3) else { break };
                let mut copy = bytes.to_vec();
                copy[at] = 1;
                return Cow::Owned(copy);
            }
            (0xDA, _) => break,
            _ => {}
        }
        from = segment.end;
    }
    Cow::Borrowed(bytes)
}

/// What to try when a decoder has refused the file.
pub(super) fn after(bytes: &[u8], format: ImageFormat, cut: bool) -> Option<Vec<u8>> {
    match format {
        ImageFormat::Png if cut => Some(ended(bytes)),
        ImageFormat::Gif if bytes.get(10).is_some_and(|flags| flags & 0x80 == 0) => Some(with_palette(bytes)),
        _ => None,
    }
}

/// A PNG that is cut may lack no more than its end: all whole chunks, what there is of cut pixel data, and the end.
fn ended(bytes: &[u8]) -> Vec<u8> {
    // A chunk that lacks only its checksum is listed too, but not whole.
    let ends = png_chunks(bytes).scan(8, |end, (_, data)| {
        *end += data.len() + 12;
        Some(*end)
    });
    let whole = ends.take_while(|&end| end <= bytes.len()).last().unwrap_or(8);
    let (whole, rest) = bytes.split_at(whole.min(bytes.len()));
    let mut ended = whole.to_vec();
    if let Some((b"IDAT", data)) = rest.get(4..).and_then(<[u8]>::split_first_chunk::<4>) {
        // What stands there of its checksum is no data.
        let promised = rest.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
        chunk(&mut ended, *b"IDAT", &data[..data.len().min(promised)]);
    }
    chunk(&mut ended, *b"IEND", b"");
    ended
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let begin = out.len() + 4;
    out.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&kind);
    out.extend_from_slice(data);
    let checksum = crc32fast::hash(&out[begin..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// A GIF may leave its palette to the reader. Pillow reads the numbers as grays; so do we.
fn with_palette(bytes: &[u8]) -> Vec<u8> {
    let (head, rest) = bytes.split_at(bytes.len().min(13));
    let mut mended = head.to_vec();
    mended[10] = head[10] & 0x70 | 0x87;
    mended.extend((0..=u8::MAX).flat_map(|gray| [gray; 3]));
    mended.extend_from_slice(rest);
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_chunk_is_ended_wherever_it_was_cut() {
        let mut whole = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut whole, *b"IHDR", &[0; 13]);
        let header = whole.len();
        chunk(&mut whole, *b"IDAT", b"pixels");
        for cut in header..=whole.len() {
            let ended = ended(&whole[..cut]);
            let chunks: Vec<_> = png_chunks(&ended).collect();
            assert_eq!(chunks.last(), Some(&(b"IEND", &b""[..])), "{cut}");
            if cut >= header + 8 {
                let kept = (cut - header - 8).min(6);
                assert_eq!(chunks[1], (b"IDAT", &b"pixels"[..kept]), "{cut}");
            }
        }
    }

    #[test]
    fn nothing_is_too_short_to_be_mended() {
        let gif = b"GIF89a\x01\0\x01\0\0\0\0;";
        for cut in 0..gif.len() {
            let _ = after(&gif[..cut], ImageFormat::Gif, true);
        }
        for cut in 0..40 {
            let _ = after(&[0; 40][..cut], ImageFormat::Png, true);
        }
    }
}
