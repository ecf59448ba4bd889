//! JPEG by zune-jpeg, with what its leniency leaves open: whether the file goes on to the image's end.

use image::{DynamicImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::walk::jpeg_segment;
use super::{ImageError, coding, jpeg_other};
use crate::domain::ImageFormat;

pub(super) const END: [u8; 2] = [0xFF, 0xD9];

/// Decodes to RGB: gray, CMYK and YCCK too.
///
/// The strict decoder stops at any junk between headers, which half of the world's old cameras write; the lenient one
/// takes a file that was cut, or has a hole, for a image with a gray lower half. So: strict, then strict without
/// what does not matter, and lenient only if the image goes on to its last row.
///
/// What zune-jpeg is known to decode to a wrong image never comes to it: see [`coding`].
pub(super) fn decode(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    if coding::read(bytes).is_some_and(|coding| !coding.is_read_by_zune()) {
        return jpeg_other::decode(bytes).map(DynamicImage::ImageRgb8);
    }
    let image = match ending(bytes) {
        Ending::Marked => strict(bytes).or_else(|_| {
            let tidied = tidy(bytes);
            strict(&tidied).or_else(|error| lenient(&tidied).ok().filter(reaches_its_end).ok_or(error))
        }),
        Ending::Cut => Err(ImageError::truncated(ImageFormat::Jpeg)),
        Ending::Unmarked => if_whole(bytes),
    };
    image.map(DynamicImage::ImageRgb8)
}

/// The same image without comments, metadata, and junk between the headers. Adobe's segment stays if it is whole: it
/// says how colours are stored.
pub(super) fn tidy(bytes: &[u8]) -> Vec<u8> {
    let mut tidied = bytes[..2].to_vec();
    let mut at = 2;
    while let Some(segment) = jpeg_segment(bytes, at) {
        at = segment.end;
        let dropped = match segment.marker {
            0xEE => segment.body.len() < 12,
            marker => matches!(marker, 0xE0..=0xEF | 0xFE) || segment.body.is_empty(),
        };
        if !dropped {
            tidied.extend_from_slice(&bytes[segment.end - segment.body.len() - 4..segment.end]);
        }
        if segment.marker == 0xDA {
            break;
        }
    }
    tidied.extend_from_slice(&bytes[at..]);
    tidied
}

/// The lenient decoder paints what it cannot decode in one middle gray, down to the last row.
fn reaches_its_end(image: &RgbImage) -> bool {
    image.rows().next_back().is_some_and(|mut row| row.any(|pixel| pixel.0 != [128; 3]))
}

pub(super) enum Ending {
    /// The end marker is there.
    Marked,
    /// All scans have begun, but the data stops without an end marker. It may be all there.
    Unmarked,
    /// A segment is cut, a scan is missing, or a progressive image stops before its end.
    Cut,
}

pub(super) fn ending(bytes: &[u8]) -> Ending {
    // Nearly every file ends here, without a search.
    if bytes.ends_with(&END) {
        return Ending::Marked;
    }
    let (mut components, mut begun, mut progressive) = (0, 0, false);
    let mut at = 2;
    while let Some(segment) = jpeg_segment(bytes, at) {
        at = segment.end;
        match (segment.marker, segment.body) {
            (0xD9, _) => return Ending::Marked,
            (0xC4 | 0xC8 | 0xCC, _) => {}
            (kind @ 0xC0..=0xCF, &[_, _, _, _, _, count, ..]) => {
                progressive = !matches!(kind, 0xC0 | 0xC1);
                components = count;
            }
            (0xDA, &[count, ..]) => begun = u8::saturating_add(begun, count),
            _ => {}
        }
    }
    if progressive || components == 0 || begun < components { Ending::Cut } else { Ending::Unmarked }
}

/// Some writers leave the end marker out. Whether all data is there is seen by what comes after it: if the
/// decoder needs more, what it makes of two different continuations differs.
fn if_whole(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let end = bytes.iter().rposition(|&byte| byte != 0xFF).map_or(0, |at| at + 1);
    let data = &bytes[..end];
    let image = lenient(&[data, &END].concat())?;
    let other = lenient(&[data, &[0x55; 256], &END].concat())?;
    if image == other { Ok(image) } else { Err(ImageError::truncated(ImageFormat::Jpeg)) }
}

fn strict(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    by_zune(bytes, true)
}

fn lenient(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    by_zune(bytes, false)
}

fn by_zune(bytes: &[u8], strict: bool) -> Result<RgbImage, ImageError> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        // Our own limits were held against the header.
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|error| explain(&error))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
    RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| ImageError::corrupt(ImageFormat::Jpeg, "another size than its header's"))
}

fn explain(error: &DecodeErrors) -> ImageError {
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => ImageError::truncated(ImageFormat::Jpeg),
        other => ImageError::corrupt(ImageFormat::Jpeg, format!("{other:?}")),
    }
}
