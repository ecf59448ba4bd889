//! Whether the first bytes of a file contain all of its metadata.

use crate::domain::ImageFormat;
use crate::imaging::facts::sniff::sniff;
use crate::imaging::facts::walk::{jpeg_segment, png_chunks, riff_chunks};

/// The flags of a `VP8X` chunk for the chunks `EXIF` and `XMP `.
const WEBP_METADATA: u8 = 0x08 | 0x04;

/// Returns whether the file has no metadata behind these bytes.
pub(super) fn has_all_metadata(head: &[u8]) -> bool {
    match sniff(head) {
        // Metadata is before the first scan.
        Ok(ImageFormat::Jpeg) => {
            let mut at = 2;
            while let Some(segment) = jpeg_segment(head, at) {
                if matches!(segment.marker, 0xD9 | 0xDA) {
                    return true;
                }
                at = segment.end;
            }
            false
        }
        // Metadata can be at the end.
        Ok(ImageFormat::Png) => png_chunks(head).any(|(kind, _)| kind == b"IEND"),
        // Metadata is at the end, and a flag at the beginning says so.
        Ok(ImageFormat::Webp) => match riff_chunks(head.get(12..).unwrap_or_default()).next() {
            Some((b"VP8X", [flags, ..])) => flags & WEBP_METADATA == 0,
            Some((b"VP8 " | b"VP8L", _)) => true,
            _ => false,
        },
        Ok(ImageFormat::Gif | ImageFormat::Bmp) => true,
        // Metadata can be anywhere.
        Ok(ImageFormat::Tiff | ImageFormat::Heic | ImageFormat::Avif | ImageFormat::Jxl | ImageFormat::Raw)
        | Err(_) => false,
    }
}
