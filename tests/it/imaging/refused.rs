//! Codings that are refused by name and of which `tests/data` has no file. A file of another coding is changed, so that it
//! declares them.

use glimpse::domain::FailureClass;
use glimpse::imaging::{ImagingSettings, decode_upright, validate_image};

#[cfg(feature = "avif")]
use crate::support::decode_helper;

const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(super::formats::data().join(name)).unwrap()
}

/// A little-endian TIFF file in which the number of a tag is another one.
fn with_tag(name: &str, tag: u16, number: u16) -> Vec<u8> {
    let mut bytes = file(name);
    assert_eq!(&bytes[..4], b"II*\0", "{name}");
    let first = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes([bytes[first], bytes[first + 1]]));
    let mut entries = (0..count).map(|entry| first + 2 + entry * 12);
    let entry = entries.find(|&at| bytes[at..at + 2] == tag.to_le_bytes()).unwrap();
    bytes[entry + 8..entry + 10].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// A file in which bytes are replaced wherever they are.
fn replaced(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = file(name);
    let places: Vec<_> = memchr::memmem::find_iter(&bytes, from).collect();
    assert!(!places.is_empty(), "{name}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[track_caller]
fn assert_refused(bytes: &[u8], name: &str) {
    let limits = ImagingSettings::default().limits();
    let error = decode_upright(bytes, &limits).unwrap_err();
    assert_eq!(error.class(), FailureClass::UnsupportedFormat, "{name}: {error}");
    assert!(error.to_string().contains(name), "{name}: {error}");
}

/// The same, if the header says it.
#[track_caller]
fn assert_refused_by_its_header(bytes: &[u8], name: &str) {
    assert_refused(bytes, name);
    assert!(validate_image(bytes, &ImagingSettings::default().limits()).is_err(), "{name}");
}

#[test]
fn codings_of_tiff_are_refused_by_name() {
    for (number, name) in [
        (2, "CCITT modified Huffman"),
        (3, "CCITT Group 3"),
        (6, "old-style JPEG"),
        (34712, "JPEG 2000"),
        (34887, "LERC"),
        (34925, "LZMA"),
        (34933, "PNG"),
        (50000, "Zstandard"),
        (50001, "WebP"),
        (50002, "JPEG XL"),
        (9, "compression 9"),
    ] {
        assert_refused_by_its_header(&with_tag("lzw.tif", COMPRESSION, number), name);
    }
    for bits in [10, 12] {
        let name = format!("1 samples of {bits} bits");
        assert_refused_by_its_header(&with_tag("packbits-gray.tif", BITS, bits), &name);
    }
    for (number, name) in [(8, "CIE L*a*b*"), (9, "CIE L*a*b*"), (32845, "LogLuv"), (7, "colours of kind 7")] {
        assert_refused_by_its_header(&with_tag("lzw.tif", PHOTOMETRIC, number), name);
    }
}

#[test]
fn a_bitmap_that_contains_another_format_is_refused_by_name() {
    for (number, name) in [(4, "contains a JPEG"), (5, "contains a PNG"), (11, "compression 11")] {
        let mut bytes = file("24.bmp");
        bytes[30] = number;
        assert_refused_by_its_header(&bytes, name);
    }
}

#[test]
fn a_hierarchical_jpeg_is_refused_by_name() {
    // The frame is the first of several.
    assert_refused_by_its_header(&replaced("gain-map.jpg", b"\xFF\xC0", b"\xFF\xC5"), "hierarchical");
}

#[cfg(feature = "heic")]
#[test]
fn heif_in_other_codings_is_refused_by_name() {
    for (kind, name) in [
        (b"avc1", "in AVC"),
        (b"vvc1", "in VVC"),
        (b"jpeg", "in JPEG"),
        (b"j2k1", "in JPEG 2000"),
        (b"unci", "in uncompressed"),
        (b"av01", "in AV1"),
    ] {
        assert_refused_by_its_header(&replaced("gray.heic", b"hvc1", kind), name);
    }
    assert_refused_by_its_header(&replaced("grid.heic", b"grid", b"iovl"), "several images over each other");
}

#[cfg(feature = "avif")]
#[test]
fn overlays_and_constant_luminance_in_avif_are_refused_by_name() {
    assert_refused_by_its_header(&replaced("grid.avif", b"grid", b"iovl"), "several images over each other");
    decode_helper::install();
    // The matrix is behind the primaries and the transfer.
    for matrix in [10, 13] {
        let changed = [&b"nclx\0\x01\0\x0D\0"[..], &[matrix]].concat();
        let bytes = replaced("matrix-9.avif", b"nclx\0\x01\0\x0D\0\x09", &changed);
        assert_refused(&bytes, &format!("the colour matrix {matrix}"));
    }
}
