//! Decodes the inks of a CMYK JPEG.

use jpeg_decoder::{Decoder, PixelFormat};

use super::coding;
use crate::imaging::inks::Inks;

/// If the image has more pixels than this, its profile is not used. This limits the additional memory for decoding the
/// inks.
pub(crate) const MAX_PIXELS: u64 = 24_000_000;

/// Whether the image is stored in CMYK or YCCK.
pub(crate) fn is_cmyk(jpeg: &[u8]) -> bool {
    coding::read(jpeg).is_some_and(|coding| coding.is_cmyk())
}

/// Decodes the inks of an image with at least this width and height, or with all of its pixels.
pub(crate) fn decode(jpeg: &[u8], (width, height): (u32, u32)) -> Option<Inks> {
    let coding = coding::read(jpeg)?;
    if u64::from(coding.width) * u64::from(coding.height) > MAX_PIXELS {
        return None;
    }
    let mut decoder = Decoder::new(jpeg);
    // The decoder chooses the next larger scale: an eighth, a quarter or a half.
    let (decoded_width, decoded_height) =
        decoder.scale(u16::try_from(width).ok()?, u16::try_from(height).ok()?).ok()?;
    let bytes = decoder.decode().ok()?;
    if decoder.info()?.pixel_format != PixelFormat::CMYK32 {
        return None;
    }
    let scale = scale(coding.width, decoded_width.into());
    let extent = (f64::from(coding.width) * scale, f64::from(coding.height) * scale);
    Some(Inks { bytes, size: (decoded_width.into(), decoded_height.into()), extent })
}

/// Returns the scale, a number of eighths, that reduces a side to this number of pixels.
fn scale(side: u32, decoded: u32) -> f64 {
    let eighths = [1_u32, 2, 4, 8].into_iter().find(|eighths| (side * eighths).div_ceil(8) >= decoded);
    f64::from(eighths.unwrap_or(8)) / 8.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_a_number_of_eighths() {
        for (side, decoded, eighths) in
            [(4000, 500, 1.0), (4001, 501, 1.0), (4001, 1001, 2.0), (99, 50, 4.0), (9, 9, 8.0)]
        {
            assert!((scale(side, decoded) - eighths / 8.0).abs() < 1e-9, "{side} {decoded}");
        }
    }
}
