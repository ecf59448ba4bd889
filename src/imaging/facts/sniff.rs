//! Detects the format of a file by its first bytes only, because keys and content types can be wrong.

use crate::domain::ImageFormat;
use crate::imaging::ImageError;

/// Returns the format by the magic bytes.
///
/// # Errors
/// Returns [`ImageError::UnsupportedFormat`] with a description of what the bytes look like instead.
pub fn sniff(bytes: &[u8]) -> Result<ImageFormat, ImageError> {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Ok(ImageFormat::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Ok(ImageFormat::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(ImageFormat::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(ImageFormat::Webp),
        _ => Err(ImageError::UnsupportedFormat(describe(bytes).to_owned())),
    }
}

/// Whether the bytes begin like a file of a known format, also of one that is not indexed.
pub fn has_known_format(bytes: &[u8]) -> bool {
    sniff(bytes).is_ok() || ![XML, PLAIN_TEXT, UNKNOWN].contains(&describe(bytes))
}

const XML: &str = "XML";
const PLAIN_TEXT: &str = "plain text";
const UNKNOWN: &str = "data of an unknown kind";

fn describe(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => describe_brand(brand),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => "a TIFF or camera raw image",
        [b'B', b'M', ..] if bytes.len() > 26 => "a BMP image",
        [0, 0, 1, 0, ..] => "a Windows icon",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop document",
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => "a JPEG XL image",
        [0, 0, 0, 0x0C, b'j', b'P', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => "a JPEG 2000 image",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [b'P', b'K', 3 | 5, 4 | 6, ..] => "a ZIP archive",
        [0x1F, 0x8B, ..] => "gzip data",
        _ => describe_text(bytes),
    }
}

/// ISO base media files contain their brand. HEIC and AVIF are images; all other brands are treated as video.
fn describe_brand(brand: &[u8]) -> &'static str {
    match brand.get(..4) {
        Some(b"avif" | b"avis") => "an AVIF image",
        Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1") => "a HEIC image",
        _ => "a video (ISO base media)",
    }
}

/// Whether the bytes are an HTML page.
pub fn is_html(bytes: &[u8]) -> bool {
    let text = text_head(bytes);
    text.starts_with("<!doctype html") || text.starts_with("<html")
}

/// Returns the beginning of a text in lower case.
fn text_head(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(512)];
    String::from_utf8_lossy(head).trim_start_matches('\u{feff}').trim_start().to_lowercase()
}

fn describe_text(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(512)];
    let text = text_head(bytes);
    // The head can end in the middle of a multi-byte character.
    let is_text = !head.contains(&0) && std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
    if is_html(bytes) {
        "an HTML page"
    } else if text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")) {
        "an SVG drawing"
    } else if text.starts_with("<?xml") {
        XML
    } else if is_text {
        PLAIN_TEXT
    } else {
        UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide_the_format() {
        for (bytes, format) in [
            (&b"\xFF\xD8\xFF\xE0"[..], ImageFormat::Jpeg),
            (b"\x89PNG\r\n\x1a\n", ImageFormat::Png),
            (b"GIF89a", ImageFormat::Gif),
            (b"GIF87a", ImageFormat::Gif),
            (b"RIFF\0\0\0\0WEBPVP8 ", ImageFormat::Webp),
        ] {
            assert_eq!(sniff(bytes), Ok(format));
        }
    }

    #[test]
    fn the_error_names_what_an_unsupported_file_looks_like() {
        for (bytes, name) in [
            (&b""[..], "empty"),
            (b"\0\0\0\x1cftypavif", "AVIF"),
            (b"\0\0\0\x1cftypheic", "HEIC"),
            (b"\0\0\0\x1cftypisom", "video"),
            (b"II*\0\x08\0\0\0", "TIFF"),
            (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01", "BMP"),
            (b"  <svg xmlns=''>", "SVG"),
            (b"<?xml version='1.0'?>\n<svg>", "SVG"),
            (b"%PDF-1.7", "PDF"),
            (b"\xEF\xBB\xBF<!DOCTYPE html>", "HTML"),
            (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "XML"),
            (b"BMW is not a bitmap", "plain text"),
            ("größe".as_bytes(), "plain text"),
            (b"\x01\x02\x03\xFE", "unknown"),
            (b"RIFF\0\0\0\0WAVE", "unknown"),
            (b"\xFF\xD8", "unknown"),
        ] {
            let message = sniff(bytes).unwrap_err().to_string();
            assert!(message.contains(name), "{name}: {message}");
        }
    }
}
