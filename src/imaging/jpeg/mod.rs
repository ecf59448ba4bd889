//! Decodes JPEG with zune-jpeg. The lenient mode of zune-jpeg accepts incomplete files, so this module also checks that
//! the data is complete.

pub(crate) mod cmyk;
pub(crate) mod coding;
mod other;

use std::collections::BTreeMap;

use image::{DynamicImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::facts::walk::jpeg_segment;

pub(crate) use other::cmyk_to_rgb;

pub(crate) const END: [u8; 2] = [0xFF, 0xD9];

/// Decodes to RGB, also from gray, CMYK and YCCK.
///
/// The strict decoder fails on junk bytes between headers, which many old cameras write. The lenient decoder accepts a
/// file that is truncated or has a gap, and fills the missing part with gray. The order is therefore: strict; strict
/// without unneeded segments; lenient, which is accepted only if the last row has real pixels.
///
/// Codings that zune-jpeg is known to decode to a wrong image go to another decoder: see [`coding`].
pub(crate) fn decode(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let coding = coding::read(bytes);
    if coding.as_ref().is_some_and(|coding| !coding.is_read_by_zune()) {
        return other::decode(bytes).map(DynamicImage::ImageRgb8);
    }
    let image = match ending(bytes) {
        Ending::Marked => strict(bytes).or_else(|_| {
            let tidied = tidy(bytes);
            strict(&tidied).or_else(|error| lenient(&tidied).ok().filter(has_last_row).ok_or(error))
        }),
        Ending::Cut => Err(ImageError::truncated(ImageFormat::Jpeg)),
        Ending::Unmarked => decode_if_complete(bytes, coding.is_some_and(|coding| coding.is_progressive())),
    };
    image.map(DynamicImage::ImageRgb8)
}

/// Returns the file without comments, metadata and junk between the headers. A complete Adobe segment is kept, because
/// it says how the colours are stored.
pub(crate) fn tidy(bytes: &[u8]) -> Vec<u8> {
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

/// Returns whether the last row has real pixels: the lenient decoder fills everything that it cannot decode with one
/// medium gray, down to the last row.
fn has_last_row(image: &RgbImage) -> bool {
    image.rows().next_back().is_some_and(|mut row| row.any(|pixel| pixel.0 != [128; 3]))
}

pub(crate) enum Ending {
    /// The end marker is present.
    Marked,
    /// All scans have started, but the data ends without an end marker. The data can still be complete.
    Unmarked,
    /// A segment is truncated, or a scan is missing.
    Cut,
}

pub(crate) fn ending(bytes: &[u8]) -> Ending {
    // Fast path: nearly every file ends with the marker, so a search is not necessary.
    if bytes.ends_with(&END) {
        return Ending::Marked;
    }
    let (mut components, mut started, mut progressive) = (0, 0, None);
    let mut at = 2;
    while let Some(segment) = jpeg_segment(bytes, at) {
        at = segment.end;
        match (segment.marker, segment.body) {
            (0xD9, _) => return Ending::Marked,
            (0xC4 | 0xC8 | 0xCC, _) => {}
            (kind @ 0xC0..=0xCF, &[_, _, _, _, _, count, ..]) => {
                progressive = (!matches!(kind, 0xC0 | 0xC1)).then(ProgressiveScans::default);
                components = count;
            }
            (0xDA, &[count, ref scan @ ..]) => {
                started = u8::saturating_add(started, count);
                if let Some(scans) = &mut progressive {
                    scans.add(count, scan);
                }
            }
            _ => {}
        }
    }
    let has_all_scans = match progressive {
        Some(scans) => scans.are_complete(components),
        None => started >= components,
    };
    if components > 0 && has_all_scans { Ending::Unmarked } else { Ending::Cut }
}

/// The scans of a progressive image: for each component, the lowest bit that was stored of each coefficient.
#[derive(Default)]
struct ProgressiveScans(BTreeMap<u8, [u8; 64]>);

impl ProgressiveScans {
    const NOT_STORED: u8 = u8::MAX;

    /// Adds a scan from its header, without the number of components.
    fn add(&mut self, components: u8, scan: &[u8]) {
        let Some((selectors, &[first, last, bits, ..])) = scan.split_at_checked(usize::from(components) * 2) else {
            return;
        };
        for &[component, _] in selectors.as_chunks::<2>().0 {
            let lowest = self.0.entry(component).or_insert([Self::NOT_STORED; 64]);
            if let Some(coefficients) = lowest.get_mut(usize::from(first)..=usize::from(last)) {
                coefficients.fill(bits & 0x0F);
            }
        }
    }

    /// Whether every coefficient of every component is stored with all of its bits.
    fn are_complete(&self, components: u8) -> bool {
        self.0.len() == usize::from(components) && self.0.values().flatten().all(|&lowest| lowest == 0)
    }
}

/// Decodes a file without an end marker, which some writers omit. To check that the data is complete, the file is
/// decoded with two different continuations: if the decoder needs more data, the two results differ. In a progressive
/// image, zune-jpeg ignores the rest of a truncated scan, so the other decoder checks it first.
fn decode_if_complete(bytes: &[u8], is_progressive: bool) -> Result<RgbImage, ImageError> {
    if is_progressive && other::decode(bytes).is_err() {
        return Err(ImageError::truncated(ImageFormat::Jpeg));
    }
    let end = bytes.iter().rposition(|&byte| byte != 0xFF).map_or(0, |at| at + 1);
    let data = &bytes[..end];
    let image = lenient(&[data, &END].concat())?;
    let other = lenient(&[data, &[0x55; 256], &END].concat())?;
    if image == other { Ok(image) } else { Err(ImageError::truncated(ImageFormat::Jpeg)) }
}

fn strict(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    decode_with_zune(bytes, true)
}

fn lenient(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    decode_with_zune(bytes, false)
}

fn decode_with_zune(bytes: &[u8], strict: bool) -> Result<RgbImage, ImageError> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        // The header was already checked against the limits of Glimpse.
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|error| explain(&error))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
    RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| ImageError::corrupt(ImageFormat::Jpeg, "its size differs from the size in its header"))
}

fn explain(error: &DecodeErrors) -> ImageError {
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => ImageError::truncated(ImageFormat::Jpeg),
        other => ImageError::corrupt(ImageFormat::Jpeg, format!("{other:?}")),
    }
}
