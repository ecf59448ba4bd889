//! Converts the samples of a TIFF page to RGB over white.

use tiff::decoder::DecodingResult;

use crate::imaging::ImageError;
use crate::imaging::facts::tiff::{Directory, tags};
use crate::imaging::flatten::blend;
use crate::imaging::jpeg::cmyk_to_rgb;

/// What the samples of a pixel mean.
pub(super) struct Colours {
    kind: Kind,
    alpha: Alpha,
}

/// Inks that are returned in place of red, green and blue.
#[derive(Clone, Copy)]
pub(super) enum InkPart {
    Coloured,
    /// Three times the same.
    Black,
}

enum Kind {
    /// 0 is white.
    WhiteIsZero,
    Gray,
    Rgb,
    /// The colours of the indexes.
    Palette(Vec<[u8; 3]>),
    Cmyk,
    /// The inks of CMYK are not converted.
    Inks(InkPart),
    Ycbcr,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Alpha {
    Missing,
    Separate,
    /// The colours are already multiplied by it.
    Multiplied,
}

impl Colours {
    pub(super) fn read(page: &Directory<'_>, samples: usize, bits: u32) -> Result<Self, ImageError> {
        let kind = match page.number(tags::PHOTOMETRIC) {
            Some(0) => Kind::WhiteIsZero,
            Some(1 | 4) => Kind::Gray,
            Some(2) => Kind::Rgb,
            Some(3) if bits <= 8 => Kind::Palette(palette(page, bits)?),
            Some(5) => Kind::Cmyk,
            Some(6) => Kind::Ycbcr,
            Some(8..=10) => return Err(ImageError::coding("a TIFF file with CIE L*a*b* colours".to_owned())),
            Some(32844 | 32845) => return Err(ImageError::coding("a TIFF file with LogLuv colours".to_owned())),
            Some(other) => return Err(ImageError::coding(format!("a TIFF file with colours of kind {other}"))),
            None => return Err(super::layout::corrupt("it does not say what its colours are")),
        };
        let colours = kind.samples();
        if samples < colours {
            return Err(super::layout::corrupt(format!("it has {samples} samples per pixel in place of {colours}")));
        }
        let alpha = match page.number(tags::EXTRA_SAMPLES) {
            _ if samples == colours => Alpha::Missing,
            Some(1) => Alpha::Multiplied,
            Some(2) => Alpha::Separate,
            _ => Alpha::Missing,
        };
        Ok(Self { kind, alpha })
    }

    /// Whether the samples are inks, without transparency.
    pub(super) fn are_inks(&self) -> bool {
        matches!(self.kind, Kind::Cmyk) && self.alpha == Alpha::Missing
    }

    /// Returns colours by which these inks are returned unconverted.
    pub(super) fn only_inks(part: InkPart) -> Self {
        Self { kind: Kind::Inks(part), alpha: Alpha::Missing }
    }

    /// Whether samples of fewer than eight bits are indexes of a palette, which are not scaled.
    pub(super) fn has_palette(&self) -> bool {
        matches!(self.kind, Kind::Palette(_))
    }

    /// Whether the samples of a JPEG are RGB and not YCbCr.
    pub(super) fn is_rgb(&self) -> bool {
        matches!(self.kind, Kind::Rgb)
    }

    /// Whether a JPEG decoder returns the colours of such a page.
    pub(super) fn can_be_jpeg(&self) -> bool {
        matches!(self.kind, Kind::Gray | Kind::Rgb | Kind::Ycbcr) && self.alpha == Alpha::Missing
    }

    /// Appends the RGB of pixels with `samples` bytes each.
    pub(super) fn append_rgb(&self, bytes: &[u8], samples: usize, rgb: &mut Vec<u8>) {
        let colours = self.kind.samples();
        for pixel in bytes.chunks_exact(samples) {
            let colour = match (&self.kind, pixel) {
                (Kind::WhiteIsZero, &[gray, ..]) => [u8::MAX - gray; 3],
                (Kind::Gray, &[gray, ..]) => [gray; 3],
                (Kind::Palette(palette), &[index, ..]) => palette.get(usize::from(index)).copied().unwrap_or_default(),
                (Kind::Rgb, &[red, green, blue, ..]) => [red, green, blue],
                (Kind::Ycbcr, &[luma, blue, red, ..]) => ycbcr_to_rgb(luma, blue, red),
                (Kind::Cmyk, &[cyan, magenta, yellow, black, ..]) => cmyk_to_rgb([cyan, magenta, yellow, black]),
                (Kind::Inks(InkPart::Coloured), &[cyan, magenta, yellow, ..]) => [cyan, magenta, yellow],
                (Kind::Inks(InkPart::Black), &[_, _, _, black, ..]) => [black; 3],
                _ => [0; 3],
            };
            let alpha = pixel.get(colours).copied().unwrap_or(u8::MAX);
            rgb.extend_from_slice(&match self.alpha {
                Alpha::Missing => colour,
                Alpha::Separate => colour.map(|value| blend(value, alpha)),
                Alpha::Multiplied => colour.map(|value| value.saturating_add(u8::MAX - alpha)),
            });
        }
    }
}

impl Kind {
    /// Returns the number of samples of a pixel that are colours.
    fn samples(&self) -> usize {
        match self {
            Self::WhiteIsZero | Self::Gray | Self::Palette(_) => 1,
            Self::Rgb | Self::Ycbcr => 3,
            Self::Cmyk | Self::Inks(_) => 4,
        }
    }
}

/// Returns the palette: all reds, all greens, all blues, each of 16 bits.
fn palette(page: &Directory<'_>, bits: u32) -> Result<Vec<[u8; 3]>, ImageError> {
    let count = 1 << bits;
    let values = page.numbers(tags::COLOUR_MAP, 3 * count).filter(|values| values.len() == 3 * count);
    let values = values.ok_or_else(|| super::layout::corrupt("its palette is incomplete"))?;
    // Some writers store bytes.
    let shift = if values.iter().all(|&value| value < 256) { 0 } else { 8 };
    let byte = |value: u64| u8::try_from(value >> shift).unwrap_or(u8::MAX);
    Ok((0..count).map(|index| [index, index + count, index + 2 * count].map(|at| byte(values[at]))).collect())
}

/// Converts by the equations of JFIF, which are those of TIFF without other coefficients.
fn ycbcr_to_rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma) << 16, i32::from(blue) - 128, i32::from(red) - 128);
    let byte = |value: i32| u8::try_from(((value + (1 << 15)) >> 16).clamp(0, 255)).unwrap_or(u8::MAX);
    [byte(luma + 91_881 * red), byte(luma - 22_554 * blue - 46_802 * red), byte(luma + 116_130 * blue)]
}

/// Returns samples of any type as bytes: the highest bits of whole numbers, and 0 to 1 of floating point numbers.
pub(super) fn to_bytes(samples: DecodingResult) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let scaled = |value: f64| (value * 255.0).round() as u8;
    let high = |value: u64, bits: u32| (value >> (bits - 8)).to_le_bytes()[0];
    match samples {
        DecodingResult::U8(all) => all,
        DecodingResult::U16(all) => all.into_iter().map(|value| high(value.into(), 16)).collect(),
        DecodingResult::U32(all) => all.into_iter().map(|value| high(value.into(), 32)).collect(),
        DecodingResult::U64(all) => all.into_iter().map(|value| high(value, 64)).collect(),
        DecodingResult::F16(all) => all.into_iter().map(|value| scaled(value.to_f64())).collect(),
        DecodingResult::F32(all) => all.into_iter().map(|value| scaled(value.into())).collect(),
        DecodingResult::F64(all) => all.into_iter().map(scaled).collect(),
        // The lowest number is black.
        DecodingResult::I8(all) => all.into_iter().map(|value| value.cast_unsigned() ^ 0x80).collect(),
        DecodingResult::I16(all) => {
            all.into_iter().map(|value| high((value.cast_unsigned() ^ 0x8000).into(), 16)).collect()
        }
        DecodingResult::I32(all) => {
            all.into_iter().map(|value| high((value.cast_unsigned() ^ (1 << 31)).into(), 32)).collect()
        }
        DecodingResult::I64(all) => all.into_iter().map(|value| high(value.cast_unsigned() ^ (1 << 63), 64)).collect(),
    }
}
