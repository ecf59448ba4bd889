//! Handmade files: PNG chunks, JPEG segments, EXIF blocks.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::{ImageFormat, Rgb, RgbImage};

/// 320 x 200: red on the left, blue on the right, and green above both.
pub(super) fn flag_image() -> RgbImage {
    RgbImage::from_fn(320, 200, |x, y| match (x, y) {
        (_, 0..30) => Rgb([30, 200, 30]),
        (0..160, _) => Rgb([220, 30, 30]),
        _ => Rgb([30, 30, 220]),
    })
}

pub(super) fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    flag_image().write_to(&mut out, format).unwrap();
    out.into_inner()
}

pub(super) fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Zeros, compressed to a thousandth.
pub(super) fn zlib_of_zeros(megabytes: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for _ in 0..megabytes {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

pub(super) fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind, data].concat();
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

/// The chunks of a PNG as kind and data.
pub(super) fn chunks(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let (mut chunks, mut at) = (Vec::new(), 8);
    while let Some(length) = png.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        chunks.push((png[at + 4..at + 8].try_into().unwrap(), png[at + 8..at + 8 + length].to_vec()));
        at += length + 12;
    }
    chunks
}

pub(super) fn png_of(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let all = chunks.iter().flat_map(|(kind, data)| chunk(*kind, data));
    b"\x89PNG\r\n\x1a\n".iter().copied().chain(all).collect()
}

/// The test image with another chunk before its pixels.
pub(super) fn png_with(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut png = encoded(ImageFormat::Png);
    // After the signature and the header.
    png.splice(33..33, chunk(kind, data));
    png
}

pub(super) fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&[0xFF, marker], &length[..], body].concat()
}

/// The test image as a JPEG with more segments before its first table.
pub(super) fn jpeg_with(segments: &[u8]) -> Vec<u8> {
    let mut jpeg = encoded(ImageFormat::Jpeg);
    jpeg.splice(2..2, segments.iter().copied());
    jpeg
}

/// An EXIF block without `Exif\0\0`: orientation 6 as a number of this type, little-endian.
pub(super) fn exif(kind: u16) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01".to_vec();
    block.extend(kind.to_le_bytes());
    block.extend([1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    block
}

pub(super) const XMP: &str = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:Description tiff:Orientation=\"6\"/></x:xmpmeta>";
