//! The boxes of a JPEG XL file (ISO/IEC 18181-2): the codestream and the metadata. A file can also be a codestream alone.

use std::io::Read;

use crate::imaging::facts::walk::Boxes;

/// Whether the file begins with the first two bytes of a codestream.
pub(super) fn is_codestream(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0x0A])
}

/// Returns the first bytes of the codestream, at most `count`.
pub(super) fn codestream_head<'a>(bytes: &'a [u8], count: usize) -> Vec<u8> {
    if is_codestream(bytes) {
        return bytes[..bytes.len().min(count)].to_vec();
    }
    let mut rest = Boxes(bytes);
    let mut parts: Vec<(u32, &'a [u8])> = Vec::new();
    let mut take = |kind: [u8; 4], content: &'a [u8]| match (&kind, content) {
        (b"jxlc", content) => parts.push((0, content)),
        // The highest bit of the number marks the last part.
        (b"jxlp", &[n3, n2, n1, n0, ref content @ ..]) => {
            parts.push((u32::from_be_bytes([n3 & 0x7F, n2, n1, n0]), content));
        }
        _ => {}
    };
    for (kind, content) in rest.by_ref() {
        take(*kind, content);
    }
    // The part at the end of a truncated file.
    if let Some((head, content)) = rest.0.split_first_chunk::<8>() {
        take([head[4], head[5], head[6], head[7]], content);
    }
    parts.sort_by_key(|(number, _)| *number);
    parts.into_iter().flat_map(|(_, part)| part).take(count).copied().collect()
}

/// Whether the file ends with the end of a box, after the end of the codestream. The length of a codestream without boxes is
/// not known.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut boxes = Boxes(bytes);
    let mut has_end = false;
    while let Some((kind, content)) = boxes.next() {
        let is_open_ended = bytes[bytes.len() - boxes.0.len() - content.len() - 8..].starts_with(&[0; 4]);
        has_end |= !is_open_ended && (kind == b"jxlc" || (kind == b"jxlp" && content.first() >= Some(&0x80)));
    }
    has_end && boxes.0.is_empty()
}

/// Maximum size of metadata after decompression.
const MAX_METADATA: u64 = 4 << 20;

/// Returns the EXIF block, which begins with its byte order.
pub(super) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    let content = metadata(bytes, *b"Exif")?;
    // pillow-jxl-plugin 1.3.8 omits the offset of the block.
    if content.starts_with(b"II*\0") || content.starts_with(b"MM\0*") {
        return Some(content);
    }
    let (offset, block) = content.split_first_chunk::<4>()?;
    Some(block.get(usize::try_from(u32::from_be_bytes(*offset)).ok()?..)?.to_vec())
}

/// Returns the XMP packet.
pub(super) fn xmp(bytes: &[u8]) -> Option<Vec<u8>> {
    metadata(bytes, *b"xml ")
}

/// Returns the content of the first box of this kind. It can be compressed.
fn metadata(bytes: &[u8], kind: [u8; 4]) -> Option<Vec<u8>> {
    if is_codestream(bytes) {
        return None;
    }
    Boxes(bytes).find_map(|(found, content)| match (found, content.split_first_chunk::<4>()) {
        (found, _) if *found == kind => Some(content.to_vec()),
        (b"brob", Some((inner, compressed))) if *inner == kind => {
            let mut plain = Vec::new();
            let reader = brotli_decompressor::Decompressor::new(compressed, 4096);
            reader.take(MAX_METADATA).read_to_end(&mut plain).ok()?;
            Some(plain)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes()[..], &kind, content].concat()
    }

    #[test]
    fn the_codestream_is_found_in_every_container() {
        let stream = [0xFF, 0x0A, 1, 2, 3, 4];
        let start = boxed(*b"JXL ", &[0x0D, 0x0A, 0x87, 0x0A]);
        let whole = [&start[..], &boxed(*b"jxlc", &stream)].concat();
        let first = boxed(*b"jxlp", &[&[0; 4], &stream[..3]].concat());
        let second = boxed(*b"jxlp", &[&[0x80, 0, 0, 1], &stream[3..]].concat());
        for file in [
            &stream[..],
            &whole,
            &[&start[..], &first, &second].concat(),
            &[start.clone(), second.clone(), first.clone()].concat(),
        ] {
            assert_eq!(codestream_head(file, 100), stream);
            assert_eq!(codestream_head(file, 5), stream[..5]);
        }
        assert_eq!(codestream_head(&whole[..whole.len() - 2], 100), stream[..4]);
        assert!(is_complete(&whole) && is_complete(&[&start[..], &first, &second].concat()));
        let open_ended = [&start[..], b"\0\0\0\0jxlc", &stream].concat();
        for file in [&whole[..whole.len() - 1], &[start, first].concat(), &stream, &open_ended] {
            assert!(!is_complete(file));
        }
    }

    #[test]
    fn metadata_is_found_plain_and_compressed() {
        // `MM` and `*` without compression, made by Python's `brotli`.
        let plain = boxed(*b"Exif", b"\0\0\0\x02__MM\0*");
        assert_eq!(exif(&plain).unwrap(), b"MM\0*");
        for without_offset in [b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0"] {
            assert_eq!(exif(&boxed(*b"Exif", without_offset)).unwrap(), without_offset);
        }
        let compressed = boxed(*b"brob", &[b"xml ", &[0x0B, 0x02, 0x80][..], b"<a/>\n", &[0x03]].concat());
        assert_eq!(xmp(&compressed).unwrap(), b"<a/>\n");
        assert_eq!((xmp(&plain), exif(&boxed(*b"Exif", b"\0\0\0\x09MM"))), (None, None));
    }
}
