//! Reads the header of a file and checks it against the limits, before anything is decoded.

use std::borrow::Cow;

use image::metadata::Orientation;

use super::decoded::{self, CodedFacts};
use super::exif::Metadata;
use super::exif_block::{exif_block, image_directory, iptc_records, xmp_packet};
use super::sniff::sniff;
use super::walk::{gif_frames, jpeg_segment, png_chunks, riff_chunks};
use crate::domain::{ImageFormat, ImageMeta};
use crate::imaging::jpeg::coding::{Coding, CodingReader};
use crate::imaging::png::text::TextReader;
use crate::imaging::{ImageError, Limits, avif, heic, jxl, raw};

/// The facts from the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The metadata of the image after its orientation is applied.
    pub meta: ImageMeta,
    /// Approximately how many bytes a decode of the whole image will allocate.
    pub decoded_bytes: u64,
    /// The orientation of the decoded pixels. It differs from that of `meta` if the container turns the image.
    pub(crate) turn: Orientation,
}

/// Reads the header and checks the limits in this order: the size of the file, the number of pixels, and the memory for
/// decoding all of them.
///
/// # Errors
/// Returns an [`ImageError`] if the file is not an image, if its header is truncated or inconsistent, or if a limit is
/// exceeded.
pub fn read_header(bytes: &[u8], limits: &Limits) -> Result<Header, ImageError> {
    let header = read_facts(bytes, limits)?;
    if header.decoded_bytes > limits.max_decode_bytes { Err(header.too_much_memory(limits)) } else { Ok(header) }
}

/// Does the same without the check of the memory, which depends on how much of the image is decoded.
pub(crate) fn read_facts(bytes: &[u8], limits: &Limits) -> Result<Header, ImageError> {
    let size = bytes.len() as u64;
    if size > limits.max_bytes {
        return Err(ImageError::TooLarge { bytes: size, limit: limits.max_bytes });
    }
    let format = sniff(bytes)?;
    let raw = Raw::read(bytes, format)?;
    let (width, height) = (raw.width, raw.height);
    if width == 0 || height == 0 {
        return Err(ImageError::corrupt(format, format!("its header declares {width} x {height} pixels")));
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        let limit = format!("at most {} pixels are allowed (IMAGE_MAX_PIXELS)", limits.max_pixels);
        return Err(ImageError::TooManyPixels { width, height, limit });
    }
    let (turn, orientation) = (raw.turn(), raw.orientation(format));
    let (width, height) = upright_size((width, height), turn);
    let meta = ImageMeta { format, width, height, frames: raw.frames.max(1), orientation };
    Ok(Header { meta, decoded_bytes: raw.decoded_bytes, turn })
}

/// Returns the width and height after the orientation is applied, or before, if they are those after it.
fn upright_size((width, height): (u32, u32), turn: Orientation) -> (u32, u32) {
    if turn.to_exif() < 5 { (width, height) } else { (height, width) }
}

impl Header {
    /// Returns the width and height of the decoded pixels, before their orientation is applied.
    pub(crate) fn stored_size(&self) -> (u32, u32) {
        upright_size((self.meta.width, self.meta.height), self.turn)
    }

    /// Returns the error for an image whose decoding would take more memory than is allowed.
    pub(crate) fn too_much_memory(&self, limits: &Limits) -> ImageError {
        let (needed, allowed) = (self.decoded_bytes, limits.max_decode_bytes);
        let limit = format!("decoding takes {needed} bytes, at most {allowed} are allowed (IMAGE_MAX_DECODE_MB)");
        ImageError::TooManyPixels { width: self.meta.width, height: self.meta.height, limit }
    }
}

/// Returns the metadata of an image, read only from its header.
///
/// # Errors
/// Fails under the same conditions as [`read_header`].
pub fn validate_image(bytes: &[u8], limits: &Limits) -> Result<ImageMeta, ImageError> {
    read_header(bytes, limits).map(|header| header.meta)
}

/// Returns the metadata of a file, and the EXIF orientation of its image, 1 to 8.
///
/// # Errors
/// Returns an [`ImageError`] if the file is not an image, or if its header is truncated or inconsistent.
pub(crate) fn read_metadata(bytes: &[u8]) -> Result<(Metadata<'_>, u8), ImageError> {
    let format = sniff(bytes)?;
    let mut raw = Raw::read(bytes, format)?;
    let orientation = raw.orientation(format);
    match exif_block(bytes) {
        Some(Cow::Borrowed(block)) => raw.metadata.exif(block),
        Some(Cow::Owned(block)) => raw.metadata.raw_profile(block),
        None => {}
    }
    if let Some(packet) = xmp_packet(bytes) {
        raw.metadata.xmp(packet);
    }
    if matches!(format, ImageFormat::Tiff | ImageFormat::Raw) {
        raw.metadata.parts(raw::exif_parts(bytes));
        raw.metadata.image_directory(image_directory(bytes));
        if let Some(records) = iptc_records(bytes) {
            raw.metadata.iptc(records);
        }
    }
    Ok((raw.metadata, orientation))
}

/// The facts of the stored image, before its orientation is applied.
pub(super) struct Raw<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) frames: u32,
    pub(super) metadata: Metadata<'a>,
    /// The orientation, if it is not in the metadata.
    pub(super) turn: Option<Orientation>,
    /// Bytes that the decoder holds at once, plus the conversion to RGB.
    pub(super) decoded_bytes: u64,
}

impl<'a> Raw<'a> {
    fn read(bytes: &'a [u8], format: ImageFormat) -> Result<Self, ImageError> {
        match format {
            ImageFormat::Jpeg => jpeg(bytes),
            ImageFormat::Png => png(bytes),
            ImageFormat::Webp => webp(bytes),
            ImageFormat::Gif => gif(bytes),
            ImageFormat::Tiff => decoded::tiff(bytes),
            ImageFormat::Bmp => decoded::bmp(bytes),
            ImageFormat::Heic => heic::read_facts(bytes).map(CodedFacts::into_raw),
            ImageFormat::Avif => avif::read_facts(bytes).map(CodedFacts::into_raw),
            ImageFormat::Jxl => jxl::read_facts(bytes).map(CodedFacts::into_raw),
            ImageFormat::Raw => decoded::camera_raw(bytes),
        }
    }

    fn turn(&self) -> Orientation {
        self.turn.or_else(|| self.metadata.orientation()).unwrap_or(Orientation::NoTransforms)
    }

    /// Returns the EXIF orientation, 1 to 8. It is 1 if the container turns the image.
    fn orientation(&self, format: ImageFormat) -> u8 {
        match format {
            ImageFormat::Heic | ImageFormat::Avif | ImageFormat::Jxl => 1,
            _ => self.turn().to_exif(),
        }
    }
}

pub(super) fn jpeg(bytes: &[u8]) -> Result<Raw<'_>, ImageError> {
    const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
    const EXTENDED_XMP: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
    const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
    let mut metadata = Metadata::default();
    let mut coding = CodingReader::default();
    let mut at = 2;
    // Metadata can be anywhere before the first scan.
    while let Some(segment) = jpeg_segment(bytes, at) {
        at = segment.end;
        coding.take(segment.marker, segment.body);
        match (segment.marker, segment.body) {
            (0xE1, body) if body.starts_with(b"Exif\0\0") => metadata.exif(body),
            (0xE1, body) if body.starts_with(XMP) => metadata.xmp(&body[XMP.len()..]),
            (0xE1, body) if body.starts_with(EXTENDED_XMP) => metadata.extended_xmp(&body[EXTENDED_XMP.len()..]),
            (0xED, body) if body.starts_with(PHOTOSHOP) => metadata.iptc(&body[PHOTOSHOP.len()..]),
            (0xD9 | 0xDA, _) => {
                let missing = || ImageError::corrupt(ImageFormat::Jpeg, "it has no frame header before the data");
                return Ok(jpeg_facts(&coding.finish().ok_or_else(missing)??, metadata));
            }
            _ => {}
        }
    }
    let coding = coding.finish().ok_or_else(|| ImageError::truncated(ImageFormat::Jpeg))?;
    Ok(jpeg_facts(&coding?, metadata))
}

fn jpeg_facts<'a>(coding: &Coding, metadata: Metadata<'a>) -> Raw<'a> {
    Raw {
        width: coding.width,
        height: coding.height,
        frames: 1,
        metadata,
        turn: None,
        decoded_bytes: coding.decoded_bytes(u64::from(coding.width) * u64::from(coding.height)),
    }
}

fn png(bytes: &[u8]) -> Result<Raw<'_>, ImageError> {
    let mut raw: Option<Raw<'_>> = None;
    let (mut metadata, mut text) = (Metadata::default(), TextReader::default());
    // The default image of an animated PNG is an additional frame, unless it is also the first frame of the animation.
    let (mut declared, mut still) = (0, 1);
    if bytes.get(12..16).is_some_and(|kind| kind != b"IHDR") {
        return Err(ImageError::corrupt(ImageFormat::Png, "it does not begin with a header chunk"));
    }
    for (kind, data) in png_chunks(bytes) {
        match (kind, &mut raw, data) {
            (b"IHDR", None, &[w3, w2, w1, w0, h3, h2, h1, h0, depth, colour, method, _, interlace, ..]) => {
                if method != 0 {
                    return Err(ImageError::corrupt(
                        ImageFormat::Png,
                        format!("its compression method is {method}, which is not defined"),
                    ));
                }
                let channels = match colour {
                    0 => 2,
                    2 | 4 => 4,
                    _ => 5,
                };
                // Rows are converted one by one, unless the image is interlaced (seven passes).
                let samples = if interlace == 0 { 0 } else { channels * u64::from(depth.div_ceil(8)) };
                let [width, height] = [[w3, w2, w1, w0], [h3, h2, h1, h0]].map(u32::from_be_bytes);
                let decoded_bytes = (u64::from(width) * u64::from(height)).saturating_mul(samples + 3);
                raw = Some(Raw { width, height, frames: 0, metadata: Metadata::default(), turn: None, decoded_bytes });
            }
            (_, None, _) => return Err(ImageError::corrupt(ImageFormat::Png, "its header chunk is too short")),
            (b"IHDR", Some(raw), _) if raw.frames == 0 => {
                return Err(ImageError::corrupt(ImageFormat::Png, "it has more than one header chunk"));
            }
            // A second declaration makes both invalid.
            (b"acTL", Some(_), &[n3, n2, n1, n0, ..]) => {
                declared = if declared == 0 { u32::from_be_bytes([n3, n2, n1, n0]) } else { 0 };
            }
            (b"IDAT", Some(raw), _) => {
                raw.frames = if (1..1 << 31).contains(&declared) { declared + still } else { 1 };
            }
            (b"fcTL", Some(raw), _) if raw.frames == 0 => still = 0,
            (b"eXIf", Some(_), data) => metadata.exif(data),
            (kind @ (b"tEXt" | b"zTXt" | b"iTXt"), Some(_), data) => text.take(*kind, data, &mut metadata),
            _ => {}
        }
    }
    let mut raw = raw.ok_or_else(|| ImageError::truncated(ImageFormat::Png))?;
    raw.metadata = metadata;
    Ok(raw)
}

fn webp(bytes: &[u8]) -> Result<Raw<'_>, ImageError> {
    let mut size = None;
    let mut metadata = Metadata::default();
    let mut frames = 0;
    for (kind, data) in riff_chunks(bytes.get(12..).unwrap_or_default()) {
        match (kind, data) {
            (b"VP8X", &[_, _, _, _, w0, w1, w2, h0, h1, h2, ..]) => {
                let to_size = |low, mid, high| u32::from_le_bytes([low, mid, high, 0]) + 1;
                size = Some((to_size(w0, w1, w2), to_size(h0, h1, h2)));
            }
            (b"VP8 ", &[_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..]) => {
                let to_size = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
                size = size.or(Some((to_size(w0, w1), to_size(h0, h1))));
            }
            (b"VP8L", &[0x2F, a, b, c, d, ..]) => {
                let bits = u32::from_le_bytes([a, b, c, d]);
                size = size.or(Some(((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)));
            }
            (b"VP8 " | b"VP8L", data) if data.len() >= 10 && size.is_none() => {
                return Err(ImageError::corrupt(ImageFormat::Webp, "the header of its image data is invalid"));
            }
            (b"ANMF", _) => frames += 1,
            (b"EXIF", data) => metadata.exif(data),
            (b"XMP ", data) => metadata.xmp(data),
            _ => {}
        }
    }
    let (width, height) = size.ok_or_else(|| ImageError::truncated(ImageFormat::Webp))?;
    // The planes of the decoder, the canvas with alpha, and RGB.
    let decoded_bytes = (u64::from(width) * u64::from(height)).saturating_mul(4 + 4 + 3);
    Ok(Raw { width, height, frames, metadata, turn: None, decoded_bytes })
}

fn gif(bytes: &[u8]) -> Result<Raw<'_>, ImageError> {
    let Some(&[w0, w1, h0, h1, ..]) = bytes.get(6..13) else { return Err(ImageError::truncated(ImageFormat::Gif)) };
    let screen = [[w0, w1], [h0, h1]].map(|side| u32::from(u16::from_le_bytes(side)));
    let frames = gif_frames(bytes);
    let [left, top, wide, high] = frames.first.unwrap_or_default().map(u32::from);
    // A frame that extends beyond the screen enlarges the screen, as in every browser.
    let [width, height] = [screen[0].max(left + wide), screen[1].max(top + high)];
    // The canvas and RGB. A frame that differs from the canvas in size needs an additional buffer.
    let frame_bytes = if [width, height] == [wide, high] { 0 } else { 4 };
    let decoded_bytes = (u64::from(width) * u64::from(height)).saturating_mul(4 + 3 + frame_bytes);
    Ok(Raw { width, height, frames: frames.count, metadata: Metadata::default(), turn: None, decoded_bytes })
}
