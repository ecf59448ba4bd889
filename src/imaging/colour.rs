//! Converts colours from the profile of a file to sRGB, because viewers show an image without a profile as sRGB.
//!
//! A profile that is damaged, too large or for another kind of pixels is ignored, so that the image can still be shown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use image::RgbImage;
use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout,
    MatrixCoefficients, RenderingIntent, ToneReprCurve, TransferCharacteristics, Transform8BitExecutor,
    TransformOptions, XyY,
};

use super::facts::walk::{jpeg_segment, png_chunks, riff_chunks};
use super::png::text;
use super::{avif, heic, jxl, raw, tiff};
use crate::domain::ImageFormat;

/// Maximum size of a profile in bytes; for PNG, the same limit applies after decompression.
const MAX_PROFILE: usize = 4 << 20;

/// Returns the profile of a file, if the file has a profile that can be read.
pub(super) fn profile(bytes: &[u8], format: ImageFormat) -> Option<ColorProfile> {
    let icc = match format {
        ImageFormat::Jpeg => jpeg_profile(bytes)?,
        ImageFormat::Png => return png_profile(bytes),
        ImageFormat::Webp => {
            let mut chunks = riff_chunks(bytes.get(12..)?);
            chunks.find(|(kind, _)| *kind == b"ICCP")?.1.to_vec()
        }
        ImageFormat::Tiff => tiff::profile(bytes).filter(|icc| icc.len() <= MAX_PROFILE)?.to_vec(),
        ImageFormat::Raw => jpeg_profile(raw::preview(bytes).ok()?.jpeg)?,
        ImageFormat::Heic => return heic::profile(bytes),
        ImageFormat::Avif => return avif::profile(bytes),
        ImageFormat::Jxl => return jxl::profile(bytes),
        ImageFormat::Gif | ImageFormat::Bmp => return None,
    };
    parse(&icc)
}

/// Converts the image to sRGB. Returns it unchanged if the profile is equivalent to sRGB, or if the profile cannot be
/// used for these pixels.
pub(super) fn to_srgb(image: RgbImage, profile: &ColorProfile) -> RgbImage {
    let source = match profile.color_space {
        DataColorSpace::Rgb => Layout::Rgb,
        DataColorSpace::Gray if is_gray(&image) => Layout::Gray,
        _ => return image,
    };
    let samples = |image: &[u8]| match source {
        Layout::Gray => image.as_chunks::<3>().0.iter().map(|pixel| pixel[0]).collect(),
        _ => image.to_vec(),
    };
    let converted = catch_panic(|| {
        let transform = transform(profile, source)?;
        let probe = if source == Layout::Gray { gray_probe() } else { colour_probe() };
        if max_difference(&apply(&transform, &samples(&probe), probe.len())?, &probe) <= MAX_ROUNDING_DIFFERENCE {
            return None;
        }
        apply(&transform, &samples(image.as_raw()), image.as_raw().len())
    });
    let (width, height) = image.dimensions();
    converted.and_then(|pixels| RgbImage::from_raw(width, height, pixels)).unwrap_or(image)
}

/// Converts CMYK pixels to sRGB; 255 means the full amount of an ink. Returns `None` if the profile is not for CMYK.
pub(super) fn cmyk_to_srgb(pixels: &[u8], profile: &ColorProfile) -> Option<Vec<u8>> {
    if profile.color_space != DataColorSpace::Cmyk {
        return None;
    }
    catch_panic(|| apply(&transform(profile, Layout::Rgba)?, pixels, pixels.len() / 4 * 3))
}

/// Maximum difference, of 255, that rounding causes in a conversion from sRGB to sRGB.
const MAX_ROUNDING_DIFFERENCE: u8 = 2;

fn transform(profile: &ColorProfile, source: Layout) -> Option<Arc<Transform8BitExecutor>> {
    let srgb = ColorProfile::new_srgb();
    // Some profiles have the table of only one rendering intent.
    [RenderingIntent::Perceptual, RenderingIntent::RelativeColorimetric].into_iter().find_map(|rendering_intent| {
        let options = TransformOptions { rendering_intent, ..TransformOptions::default() };
        profile.create_transform_8bit(source, &srgb, Layout::Rgb, options).ok()
    })
}

fn apply(transform: &Arc<Transform8BitExecutor>, source: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut converted = vec![0; length];
    transform.transform(source, &mut converted).ok()?;
    Some(converted)
}

/// Runs `work` and returns `None` if it panics, because the library gets unchecked data from files.
fn catch_panic<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

/// Returns the profile if it can be read.
pub(super) fn parse(icc: &[u8]) -> Option<ColorProfile> {
    catch_panic(|| ColorProfile::new_from_slice(icc.get(..MAX_PROFILE.min(icc.len()))?).ok())
}

fn is_gray(image: &RgbImage) -> bool {
    image.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2])
}

fn gray_probe() -> Vec<u8> {
    (0..=u8::MAX).step_by(17).flat_map(|gray| [gray; 3]).collect()
}

fn colour_probe() -> Vec<u8> {
    let steps = || (0..=u8::MAX).step_by(51);
    steps().flat_map(|red| steps().flat_map(move |green| steps().flat_map(move |blue| [red, green, blue]))).collect()
}

fn max_difference(one: &[u8], other: &[u8]) -> u8 {
    one.iter().zip(other).map(|(one, other)| one.abs_diff(*other)).max().unwrap_or(0)
}

/// Joins the parts of the profile of a JPEG. They can come in any order, but all of them must be present.
fn jpeg_profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<(u8, &[u8])> = Vec::new();
    let mut count = 0;
    let mut at = 2;
    while let Some(segment) = jpeg_segment(bytes, at) {
        at = segment.end;
        match (segment.marker, segment.body.strip_prefix(b"ICC_PROFILE\0")) {
            (0xE2, Some(&[number, total, ref part @ ..])) if parts.len() < 255 => {
                count = usize::from(total);
                parts.push((number, part));
            }
            (0xD9 | 0xDA, _) => break,
            _ => {}
        }
    }
    parts.sort_by_key(|(number, _)| *number);
    let is_complete = parts.len() == count && parts.iter().zip(1..).all(|((number, _), place)| *number == place);
    let length: usize = parts.iter().map(|(_, part)| part.len()).sum();
    (is_complete && length > 0 && length <= MAX_PROFILE)
        .then(|| parts.iter().flat_map(|(_, part)| *part).copied().collect())
}

/// The gamma values, in 100,000ths, that a PNG may have. Others are damage and would make a thumbnail white or black.
const GAMMAS: std::ops::RangeInclusive<u32> = 10_000..=1_000_000;

/// Returns the profile of a PNG with the priorities of the PNG specification: cICP, iCCP, sRGB, and then gAMA with
/// cHRM.
fn png_profile(bytes: &[u8]) -> Option<ColorProfile> {
    let (mut cicp, mut icc, mut srgb, mut gamma, mut chromaticities) = (None, None, false, None, None);
    for (kind, data) in png_chunks(bytes) {
        match (kind, data) {
            // The decoder has mapped PQ and HLG to sRGB.
            (b"cICP", &[_, 16 | 18, 0, 1, ..]) => return None,
            (b"cICP", &[primaries, transfer, 0, 1, ..]) => cicp = cicp_profile(primaries, transfer),
            (b"iCCP", data) if icc.is_none() => icc = text::profile(data).as_deref().and_then(parse),
            (b"sRGB", _) => srgb = true,
            (b"gAMA", data) => {
                gamma = data.first_chunk().map(|it| u32::from_be_bytes(*it)).filter(|it| GAMMAS.contains(it));
            }
            (b"cHRM", data) => chromaticities = data.first_chunk::<32>(),
            (b"IDAT" | b"IEND", _) => break,
            _ => {}
        }
    }
    cicp.or(icc).or_else(|| if srgb { None } else { gamma_profile(gamma?, chromaticities) })
}

/// Returns the profile for the primaries and the transfer characteristics of ITU-T H.273, as in a cICP chunk. The result is
/// `None` for PQ and HLG, which cannot be converted without tone mapping.
pub(super) fn cicp_profile(primaries: u8, transfer: u8) -> Option<ColorProfile> {
    let color_primaries = CicpColorPrimaries::try_from(primaries).ok().filter(|_| !matches!(primaries, 0 | 2 | 3))?;
    let transfer_characteristics = match transfer {
        1 | 4..=8 | 13..=15 => TransferCharacteristics::try_from(transfer).ok()?,
        _ => return None,
    };
    let matrix_coefficients = MatrixCoefficients::Identity;
    Some(ColorProfile::new_from_cicp(CicpProfile {
        color_primaries,
        transfer_characteristics,
        matrix_coefficients,
        full_range: true,
    }))
}

/// Returns the profile for gAMA and cHRM. Most writers use a gamma of 1/2.2 with the primaries of sRGB to mean sRGB, so
/// the result for those values is `None`.
fn gamma_profile(gamma: u32, chromaticities: Option<&[u8; 32]>) -> Option<ColorProfile> {
    let xy: Vec<f32> = match chromaticities {
        #[expect(clippy::cast_precision_loss, reason = "five digits are stored")]
        Some(all) => all.as_chunks::<4>().0.iter().map(|it| u32::from_be_bytes(*it) as f32 / 100_000.0).collect(),
        None => SRGB_XY.to_vec(),
    };
    let is_srgb = xy.iter().zip(SRGB_XY).all(|(one, other)| (one - other).abs() < 0.002);
    let &[white_x, white_y, red_x, red_y, green_x, green_y, blue_x, blue_y] = &xy[..] else { return None };
    if (is_srgb && (44_000..=47_000).contains(&gamma)) || [white_y, red_y, green_y, blue_y].iter().any(|y| *y < 0.001) {
        return None;
    }
    let mut profile = ColorProfile::new_srgb();
    profile.update_rgb_colorimetry(
        XyY { x: white_x.into(), y: white_y.into(), yb: 1.0 },
        ColorPrimaries {
            red: Chromaticity { x: red_x, y: red_y },
            green: Chromaticity { x: green_x, y: green_y },
            blue: Chromaticity { x: blue_x, y: blue_y },
        },
    );
    #[expect(clippy::cast_precision_loss, reason = "five digits are stored")]
    let curve = ToneReprCurve::Parametric(vec![100_000.0 / gamma as f32]);
    profile.red_trc = Some(curve.clone());
    profile.green_trc = Some(curve.clone());
    profile.blue_trc = Some(curve);
    Some(profile)
}

/// White, red, green and blue of sRGB, as `cHRM` stores them.
const SRGB_XY: [f32; 8] = [0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06];
