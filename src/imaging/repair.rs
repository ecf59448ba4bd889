//! Repairs copies of files: removes defects that every viewer tolerates but that a decoder rejects.

use std::borrow::Cow;

use super::facts::walk::{jpeg_segment, png_chunks};
use crate::domain::{ImageFormat, ImageMeta};

/// Repairs a file before decoding: if the first frame of a GIF extends beyond the screen, the screen is enlarged, as in
/// every browser. The decoder would cut the frame off. The number of planes of a BMP is always 1; the decoder rejects any
/// other, and other readers ignore it.
pub(super) fn before<'a>(bytes: &'a [u8], meta: &ImageMeta) -> Cow<'a, [u8]> {
    let side = |pixels: u32| u16::try_from(pixels).map(u16::to_le_bytes);
    match (meta.format, bytes.get(6..10), side(meta.width), side(meta.height)) {
        (ImageFormat::Gif, Some(screen), Ok(width), Ok(height)) if screen != [width, height].concat() => {
            Cow::Owned([&bytes[..6], &width, &height, &bytes[10..]].concat())
        }
        (ImageFormat::Bmp, ..)
            if bytes.get(14).is_some_and(|&size| size >= 40)
                && bytes.get(26..28).is_some_and(|planes| planes != [1, 0]) =>
        {
            Cow::Owned([&bytes[..26], &[1, 0], bytes.get(28..).unwrap_or_default()].concat())
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// Repairs the Adobe segment of a JPEG with a JFIF header: such an image is in YCbCr, even if its Adobe segment says RGB.
/// libjpeg ignores the segment in this case; other decoders would return wrong colours.
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

/// The Huffman tables of ITU-T T.81, annex K.3.3, as four DHT segments.
const STANDARD_TABLES: &[u8] = include_bytes!("standard_tables.bin");

/// Adds the standard Huffman tables to a baseline JPEG that has none, such as a frame of a Motion-JPEG film. Such files
/// leave the tables out, and libjpeg uses the standard ones.
pub(super) fn huffman_tables(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (mut baseline, mut from) = (false, 2);
    while bytes.starts_with(&[0xFF, 0xD8])
        && let Some(segment) = jpeg_segment(bytes, from)
    {
        match segment.marker {
            0xC0 => baseline = true,
            0xDA if baseline => {
                let (header, scan) = bytes.split_at(segment.end - segment.body.len() - 4);
                return Cow::Owned([header, STANDARD_TABLES, scan].concat());
            }
            0xC4 | 0xD9 | 0xDA => break,
            _ => {}
        }
        from = segment.end;
    }
    Cow::Borrowed(bytes)
}

/// Returns a repaired copy to try after the decoder has rejected the file.
pub(super) fn after(bytes: &[u8], format: ImageFormat, cut: bool) -> Option<Vec<u8>> {
    match format {
        ImageFormat::Png if cut => Some(complete(bytes)),
        ImageFormat::Gif if bytes.get(10).is_some_and(|flags| flags & 0x80 == 0) => Some(add_palette(bytes)),
        _ => None,
    }
}

/// Completes a truncated PNG, which can have all of its pixels: keeps all complete chunks and the available part of the
/// truncated pixel data, and adds the end chunk.
fn complete(bytes: &[u8]) -> Vec<u8> {
    // `png_chunks` also lists a chunk that lacks only its checksum, but it is not complete.
    let ends = png_chunks(bytes).scan(8, |end, (_, data)| {
        *end += data.len() + 12;
        Some(*end)
    });
    let whole = ends.take_while(|&end| end <= bytes.len()).last().unwrap_or(8);
    let (whole, rest) = bytes.split_at(whole.min(bytes.len()));
    let mut complete = whole.to_vec();
    if let Some((b"IDAT", data)) = rest.get(4..).and_then(<[u8]>::split_first_chunk::<4>) {
        // Bytes of a truncated checksum are not data.
        let declared = rest.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
        chunk(&mut complete, *b"IDAT", &data[..data.len().min(declared)]);
    }
    chunk(&mut complete, *b"IEND", b"");
    complete
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let begin = out.len() + 4;
    out.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&kind);
    out.extend_from_slice(data);
    let checksum = crc32fast::hash(&out[begin..]);
    out.extend_from_slice(&checksum.to_be_bytes());
}

/// Adds a gray palette to a GIF without a palette. The format leaves the palette to the reader, and Pillow uses grays.
fn add_palette(bytes: &[u8]) -> Vec<u8> {
    let (head, rest) = bytes.split_at(bytes.len().min(13));
    let mut repaired = head.to_vec();
    repaired[10] = head[10] & 0x70 | 0x87;
    repaired.extend((0..=u8::MAX).flat_map(|gray| [gray; 3]));
    repaired.extend_from_slice(rest);
    repaired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_chunk_is_completed_at_every_length() {
        let mut whole = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut whole, *b"IHDR", &[0; 13]);
        let header = whole.len();
        chunk(&mut whole, *b"IDAT", b"pixels");
        for cut in header..=whole.len() {
            let complete = complete(&whole[..cut]);
            let chunks: Vec<_> = png_chunks(&complete).collect();
            assert_eq!(chunks.last(), Some(&(b"IEND", &b""[..])), "{cut}");
            if cut >= header + 8 {
                let kept = (cut - header - 8).min(6);
                assert_eq!(chunks[1], (b"IDAT", &b"pixels"[..kept]), "{cut}");
            }
        }
    }

    #[test]
    fn standard_tables_are_added_only_to_a_baseline_file_without_tables() {
        let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/cat.jpg")).unwrap();
        assert!(matches!(huffman_tables(&file), Cow::Borrowed(_)));
        let without = b"\xff\xd8\xff\xc0\0\x04ab\xff\xda\0\x03cdata\xff\xd9";
        let repaired = huffman_tables(without);
        assert_eq!(repaired.len(), without.len() + STANDARD_TABLES.len());
        assert!(repaired.ends_with(b"\xff\xda\0\x03cdata\xff\xd9"));
        assert!(matches!(huffman_tables(b"\xff\xd8\xff\xc2\0\x04ab\xff\xda\0\x03c"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_repair_of_a_short_file_does_not_panic() {
        let gif = b"GIF89a\x01\0\x01\0\0\0\0;";
        for cut in 0..gif.len() {
            let _ = after(&gif[..cut], ImageFormat::Gif, true);
        }
        for cut in 0..40 {
            let _ = after(&[0; 40][..cut], ImageFormat::Png, true);
        }
    }
}
