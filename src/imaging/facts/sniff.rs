//! Detects the format of a file by its first bytes only, because keys and content types can be wrong.

use super::tiff::{Directory, Tiff, tags};
use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::tiff::{is_ordinary, is_reduced};

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
        [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, size, 0, 0, 0, ..] if is_bmp_header_size(*size) => {
            Ok(ImageFormat::Bmp)
        }
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Ok(ImageFormat::Jxl),
        [_, _, _, _, b'f', b't', b'y', b'p', rest @ ..] => match file_type(bytes[..4].try_into().ok(), rest) {
            Some(format) => Ok(format),
            None => Err(ImageError::UnsupportedFormat(describe(bytes).to_owned())),
        },
        [b'F', b'U', b'J', b'I', b'F', b'I', b'L', b'M', b'C', b'C', b'D', b'-', b'R', b'A', b'W', ..]
        | [b'I', b'I', b'R', b'O' | b'S', ..]
        | [b'I', b'I', b'U', 0, ..]
        | [b'M', b'M', b'O', b'R', ..] => Ok(ImageFormat::Raw),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(tiff_or_raw(bytes)),
        _ => Err(ImageError::UnsupportedFormat(describe(bytes).to_owned())),
    }
}

/// Whether this is the size of a bitmap header: of OS/2, or of one of the versions of Windows.
fn is_bmp_header_size(size: u8) -> bool {
    matches!(size, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)
}

/// Returns the format of an ISO base media file by its brands, after the first eight bytes. The major brand of HEIF
/// files can be a general one; then one of the others names the coding.
fn file_type(size: Option<[u8; 4]>, brands: &[u8]) -> Option<ImageFormat> {
    let length = usize::try_from(u32::from_be_bytes(size?)).ok()?.saturating_sub(8);
    let brands = brands.get(..length.min(brands.len()).min(256))?.as_chunks::<4>().0;
    let (major, others) = brands.split_first()?;
    match major {
        b"crx " => Some(ImageFormat::Raw),
        b"heic" | b"heix" | b"heim" | b"heis" => Some(ImageFormat::Heic),
        b"avif" => Some(ImageFormat::Avif),
        // The second field is the version. A sequence of AV1 (`avis`) can contain a still image.
        b"mif1" | b"mif2" | b"msf1" | b"hevc" | b"hevx" | b"avis" => {
            others.iter().skip(1).find_map(|brand| match brand {
                b"heic" | b"heix" | b"heim" | b"heis" => Some(ImageFormat::Heic),
                b"avif" => Some(ImageFormat::Avif),
                _ => None,
            })
        }
        _ => None,
    }
}

/// Most cameras write RAW files as TIFF files whose first directory is a small preview. The directories to which it refers
/// are read if the bytes contain them; without them, the first bytes of a file are enough.
fn tiff_or_raw(bytes: &[u8]) -> ImageFormat {
    let number = |directory: &Directory<'_>, tag| directory.number(tag).unwrap_or(0);
    let has_sensor_data = |directory: &Directory<'_>| {
        // A color filter array, and linear data of a sensor.
        matches!(number(directory, tags::PHOTOMETRIC), 32803 | 34892)
            // Nikon, Sony, Samsung, Pentax and Kodak.
            || matches!(number(directory, tags::COMPRESSION), 34713 | 32767 | 32770 | 65535 | 65000)
    };
    let is_raw = |directory: &Directory<'_>| {
        // TIFF/EP: the first directory is a preview, or a JPEG in the old coding, and the others belong to it.
        let is_preview = is_reduced(directory) || number(directory, tags::COMPRESSION) == 6;
        let refers_to_sensor_data = || {
            let children = directory.children();
            children.iter().any(has_sensor_data) || !children.iter().any(is_ordinary)
        };
        directory.contains(tags::DNG_VERSION)
            || has_sensor_data(directory)
            || (is_preview
                && directory.contains(tags::MAKE)
                && directory.contains(tags::SUB_IFDS)
                && refers_to_sensor_data())
    };
    let is_canon = bytes.get(8..10) == Some(b"CR");
    let first = Tiff::open(bytes).and_then(|(file, first)| file.directory(first));
    if is_canon || first.is_some_and(|first| is_raw(&first)) { ImageFormat::Raw } else { ImageFormat::Tiff }
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
        [0, 0, 1, 0, ..] => "a Windows icon",
        [b'8', b'B', b'P', b'S', ..] => "a Photoshop document",
        [0, 0, 0, 0x0C, b'j', b'P', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => "a JPEG 2000 image",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [b'P', b'K', 3 | 5, 4 | 6, ..] => "a ZIP archive",
        [0x1F, 0x8B, ..] => "gzip data",
        _ => describe_text(bytes),
    }
}

/// ISO base media files contain their brands. Files of all unknown brands are treated as video.
fn describe_brand(brands: &[u8]) -> &'static str {
    let brands = brands[..brands.len().min(64)].as_chunks::<4>().0;
    match brands.first() {
        Some(b"avis") => "an AVIF image sequence",
        Some(b"hevc" | b"hevx" | b"msf1") => "a HEIC image sequence",
        Some(b"mif1" | b"mif2") => "a HEIF image that is neither in HEVC nor in AV1",
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
            (b"II*\0\x08\0\0\0", ImageFormat::Tiff),
            (b"MM\0\x2b\0\x08\0\0", ImageFormat::Tiff),
            (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01", ImageFormat::Bmp),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ImageFormat::Heic),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", ImageFormat::Heic),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", ImageFormat::Avif),
            (b"\0\0\0\x1cftypavis\0\0\0\0avismsf1avif", ImageFormat::Avif),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", ImageFormat::Avif),
            (b"\xFF\x0A\xFA\x7F", ImageFormat::Jxl),
            (b"\0\0\0\x0CJXL \r\n\x87\n", ImageFormat::Jxl),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", ImageFormat::Raw),
            (b"FUJIFILMCCD-RAW 0201", ImageFormat::Raw),
            (b"IIRO\x08\0\0\0", ImageFormat::Raw),
            (b"IIU\0\x18\0\0\0", ImageFormat::Raw),
            (b"II*\0\x10\0\0\0CR\x02\0", ImageFormat::Raw),
        ] {
            assert_eq!(sniff(bytes), Ok(format));
        }
    }

    #[test]
    fn the_error_names_what_an_unsupported_file_looks_like() {
        for (bytes, name) in [
            (&b""[..], "empty"),
            (b"\0\0\0\x1cftypavis\0\0\0\0avismsf1miaf", "AVIF image sequence"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "neither in HEVC nor in AV1"),
            (b"\0\0\0\x18ftypmsf1\0\0\0\0mif1hevc", "HEIC image sequence"),
            (b"\0\0\0\x1cftypisom", "video"),
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
