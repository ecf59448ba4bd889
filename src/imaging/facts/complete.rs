//! Whether a file is complete, found without decoding it.

use super::sniff::sniff;
use super::walk::{gif_frames, jpeg_segment, png_chunks};
use crate::domain::ImageFormat;
use crate::imaging::{avif, bmp, heic, jxl, tiff};

/// Whether the bytes are an image that has its end: a connection can close early without an error.
pub fn is_complete(bytes: &[u8]) -> bool {
    match sniff(bytes) {
        Ok(ImageFormat::Jpeg) => jpeg_has_end(bytes),
        Ok(ImageFormat::Png) => png_chunks(bytes).any(|(kind, _)| kind == b"IEND"),
        Ok(ImageFormat::Gif) => gif_frames(bytes).is_complete,
        Ok(ImageFormat::Webp) => {
            let declared = bytes.get(4..8).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
            declared.is_some_and(|size| bytes.len() as u64 >= u64::from(size) + 8)
        }
        Ok(ImageFormat::Tiff) => tiff::is_complete(bytes),
        Ok(ImageFormat::Bmp) => bmp::read_facts(bytes).is_ok_and(|facts| facts.data_end <= bytes.len() as u64),
        Ok(ImageFormat::Heic) => heic::is_complete(bytes),
        Ok(ImageFormat::Avif) => avif::is_complete(bytes),
        Ok(ImageFormat::Jxl) => jxl::is_complete(bytes),
        // RAW files do not say where they end.
        Ok(ImageFormat::Raw) | Err(_) => false,
    }
}

/// The end marker of a thumbnail does not count: the thumbnail is inside a segment.
fn jpeg_has_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(segment) = jpeg_segment(bytes, at) {
        if segment.marker == 0xD9 {
            return true;
        }
        at = segment.end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_complete_only_with_its_end() {
        for name in ["cat.jpg", "coffee.jpg"] {
            let bytes = std::fs::read(format!("demo/{name}")).unwrap();
            assert!(is_complete(&bytes), "{name}");
            assert!(is_complete(&[&bytes[..], b"trailer"].concat()), "{name}");
            for length in [0, 300, bytes.len() / 2, bytes.len() - 2] {
                assert!(!is_complete(&bytes[..length]), "{length} bytes of {name}");
            }
        }
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xae\x42\x60\x82";
        assert!(is_complete(png) && !is_complete(&png[..12]));
        let gif = b"GIF89a\x01\0\x01\0\0\0\0\x3B";
        assert!(is_complete(gif) && !is_complete(&gif[..13]));
        let webp = b"RIFF\x04\0\0\0WEBP";
        assert!(is_complete(webp));
        assert!(!is_complete(b"RIFF\x06\0\0\0WEBP"));
        assert!(!is_complete(b"<html></html>"));
    }
}
