//! Which way up a picture is. A broken EXIF block never costs the picture: it then counts as upright.

use image::metadata::Orientation;

const PREFIX: &[u8] = b"Exif\0\0";

/// Orientation by an EXIF block, with or without its `Exif\0\0`.
pub(super) fn orientation(block: &[u8]) -> Option<Orientation> {
    Orientation::from_exif_chunk(block.strip_prefix(PREFIX).unwrap_or(block))
}

/// Orientation by XMP, as an attribute or as an element of `tiff:Orientation`. Asked where EXIF says nothing.
pub(super) fn orientation_of_xmp(xmp: &[u8]) -> Option<Orientation> {
    const TAG: &[u8] = b"tiff:Orientation";
    let mut rest = xmp;
    loop {
        rest = &rest[memchr::memmem::find(rest, TAG)? + TAG.len()..];
        match rest {
            [b'=', b'"' | b'\'', digit @ b'1'..=b'8', ..] | [b'>', digit @ b'1'..=b'8', ..] => {
                return Orientation::from_exif(digit - b'0');
            }
            _ => {}
        }
    }
}

/// The EXIF block that ImageMagick writes into PNG text: name, length, then hexadecimal digits over many lines.
pub(super) fn from_raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).skip(2);
    let digits: Vec<u8> = lines.by_ref().flatten().copied().filter(u8::is_ascii_hexdigit).collect();
    hex::decode(digits).ok()
}

#[cfg(test)]
pub(super) fn block(orientation: u16) -> Vec<u8> {
    let mut block = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    block.extend(orientation.to_be_bytes());
    block.extend([0; 6]);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_orientation_is_read_with_and_without_the_prefix() {
        for value in 1..=8 {
            let bare = block(value);
            let prefixed = [PREFIX, &bare].concat();
            assert_eq!(orientation(&bare).map(|it| u16::from(it.to_exif())), Some(value));
            assert_eq!(orientation(&prefixed).map(|it| u16::from(it.to_exif())), Some(value));
        }
    }

    #[test]
    fn broken_blocks_say_nothing() {
        assert_eq!(orientation(&block(0)), None);
        assert_eq!(orientation(&block(9)), None);
        assert_eq!(orientation(b"Exif\0\0II*\0\xFF\xFF\xFF\xFF"), None);
        for cut in 0..block(6).len() - 8 {
            assert_eq!(orientation(&block(6)[..cut]), None);
        }
    }

    #[test]
    fn xmp_is_read_in_both_spellings() {
        for xmp in [
            "<x tiff:Orientation=\"6\"/>",
            "<tiff:Orientation>6</tiff:Orientation>",
            "tiff:Orientation= tiff:Orientation='6'",
        ] {
            assert_eq!(orientation_of_xmp(xmp.as_bytes()), Some(Orientation::Rotate90), "{xmp}");
        }
        assert_eq!(orientation_of_xmp(b"tiff:Orientation=\"0\""), None);
        assert_eq!(orientation_of_xmp(b"tiff:Orientation"), None);
    }
}
