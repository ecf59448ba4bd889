//! The file name under which a browser saves an original (RFC 6266, RFC 8187). Keys are untrusted input.

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::ImageFormat;

/// Maximum length of a name in bytes of UTF-8. File systems allow 255.
const MAX_BYTES: usize = 200;
/// The characters to percent-encode: all that RFC 8187 does not allow, and some more.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');
/// Reserved device names on Windows.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// Returns `Content-Disposition: inline` with the file name of an object.
pub(in crate::api) fn inline(key: &str, format: ImageFormat) -> HeaderValue {
    let name = file_name(key, format);
    let ascii: String = name.chars().filter(|character| !is_combining(*character)).map(to_ascii).collect();
    let encoded = utf8_percent_encode(&name, ENCODED);
    HeaderValue::try_from(format!("inline; filename=\"{ascii}\"; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("inline"))
}

/// Returns the last part of a key as a file name that is safe on every system and has an extension of its format.
fn file_name(key: &str, format: ImageFormat) -> String {
    let last = key.split(['/', '\\']).rfind(|part| !part.trim_matches(['.', ' ']).is_empty()).unwrap_or_default();
    let clean: String = last.chars().filter(|character| !is_invisible(*character)).map(to_safe).collect();
    let clean = clean.trim_matches(['.', ' ']);
    let (stem, ending) = match clean.rsplit_once('.') {
        Some((stem, ending)) if is_ending_of(ending, format) && !stem.is_empty() => (stem, ending),
        _ => (clean, endings(format)[0]),
    };
    let mut stem = if stem.is_empty() { "image".to_owned() } else { stem.to_owned() };
    let base = stem.split('.').next().unwrap_or_default().trim_end_matches(|digit: char| digit.is_ascii_digit());
    if DEVICES.iter().any(|device| base.eq_ignore_ascii_case(device)) {
        stem.insert(0, '_');
    }
    let mut length = stem.len().min(MAX_BYTES - 1 - ending.len());
    while !stem.is_char_boundary(length) {
        length -= 1;
    }
    stem.truncate(length);
    format!("{}.{ending}", stem.trim_end_matches(['.', ' ']))
}

fn endings(format: ImageFormat) -> &'static [&'static str] {
    match format {
        ImageFormat::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
        ImageFormat::Png => &["png", "apng"],
        ImageFormat::Tiff => &["tif", "tiff", "btf", "tf8"],
        ImageFormat::Bmp => &["bmp", "dib"],
        ImageFormat::Webp
        | ImageFormat::Gif
        | ImageFormat::Heic
        | ImageFormat::Avif
        | ImageFormat::Jxl
        | ImageFormat::Raw => format.extensions(),
    }
}

fn is_ending_of(ending: &str, format: ImageFormat) -> bool {
    endings(format).iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Whether a character is invisible or changes the direction of the text: `gpj.exe` must not look like `exe.jpg`.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Replaces characters that separate parts of a path or that a file system refuses.
fn to_safe(character: char) -> char {
    if matches!(character, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { character }
}

/// Replaces characters for clients that read only ASCII. Some of them decode percent signs.
fn to_ascii(character: char) -> char {
    if matches!(character, ' '..='~') && !matches!(character, '%' | '"' | '\\') { character } else { '_' }
}

/// Whether a character is an accent that combines with the letter before it, as macOS writes them.
fn is_combining(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_becomes_a_safe_file_name() {
        for (key, expected) in [
            ("photos/2024/cat.jpg", "cat.jpg"),
            ("cat.JPEG", "cat.JPEG"),
            ("photos/cat.jpg/", "cat.jpg"),
            ("cat", "cat.jpg"),
            ("cat.png", "cat.png.jpg"),
            ("evil.html", "evil.html.jpg"),
            ("a/../..", "a.jpg"),
            ("..\\..\\windows\\cat.jpg", "cat.jpg"),
            ("", "image.jpg"),
            ("///", "image.jpg"),
            (".jpg", "jpg.jpg"),
            ("a\"b;c\r\nX-Evil: 1.jpg", "a_b;cX-Evil_ 1.jpg"),
            ("\u{202e}gpj.cat\u{2066}.jpg", "gpj.cat.jpg"),
            ("con.jpg", "_con.jpg"),
            ("LPT1.x.jpg", "_LPT1.x.jpg"),
            ("cat .jpg", "cat.jpg"),
            ("cafe\u{301}.jpg", "cafe\u{301}.jpg"),
        ] {
            assert_eq!(file_name(key, ImageFormat::Jpeg), expected, "{key:?}");
        }
        let long = file_name(&format!("{}.jpg", "é".repeat(600)), ImageFormat::Jpeg);
        assert!(long.len() <= MAX_BYTES && long.ends_with("é.jpg"), "{long}");
    }

    #[test]
    fn the_header_has_a_name_for_old_and_for_new_clients() {
        let header_of = |key| inline(key, ImageFormat::Png).to_str().unwrap().to_owned();
        assert_eq!(header_of("a/cat.png"), "inline; filename=\"cat.png\"; filename*=UTF-8''cat.png");
        assert_eq!(header_of("é 50%.png"), "inline; filename=\"_ 50_.png\"; filename*=UTF-8''%C3%A9%2050%25.png");
        assert_eq!(header_of("e\u{301}.png"), "inline; filename=\"e.png\"; filename*=UTF-8''e%CC%81.png");
        assert_eq!(header_of("猫.png"), "inline; filename=\"_.png\"; filename*=UTF-8''%E7%8C%AB.png");
    }
}
