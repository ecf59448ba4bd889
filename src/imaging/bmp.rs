//! Reads the header of BMP files.

use super::ImageError;
use crate::domain::ImageFormat;

/// The size of the image in pixels, and where its pixels end in the file.
pub(crate) struct BmpFacts {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The offset after the last byte of the pixels; the length in the header, if they are compressed.
    pub(crate) data_end: u64,
}

pub(crate) fn read_facts(bytes: &[u8]) -> Result<BmpFacts, ImageError> {
    let truncated = || ImageError::truncated(ImageFormat::Bmp);
    let u32_at = |at: usize| bytes.get(at..at + 4).and_then(|it| it.first_chunk()).map(|it| u32::from_le_bytes(*it));
    let u16_at = |at: usize| bytes.get(at..at + 2).and_then(|it| it.first_chunk()).map(|it| u16::from_le_bytes(*it));
    let read = || {
        let (length, offset, header) = (u32_at(2)?, u32_at(10)?, u32_at(14)?);
        // The headers of OS/2 1.x have sides of 16 bits and no compression.
        let (width, height, bits, compression) = if header == 12 {
            (u32::from(u16_at(18)?), u32::from(u16_at(20)?), u16_at(24)?, 0)
        } else {
            // A negative height means that the first row is the top one.
            (
                u32_at(18)?,
                u32_at(22)?.cast_signed().unsigned_abs(),
                u16_at(28)?,
                if header == 16 { 0 } else { u32_at(30)? },
            )
        };
        Some((length, offset, width, height, bits, compression))
    };
    let (length, offset, width, height, bits, compression) = read().ok_or_else(truncated)?;
    match compression {
        // Plain, and plain with masks.
        0 | 3 | 6 => {
            let row = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
            let data_end = u64::from(offset).saturating_add(row.saturating_mul(height.into()));
            Ok(BmpFacts { width, height, data_end })
        }
        1 | 2 => Ok(BmpFacts { width, height, data_end: length.into() }),
        4 => Err(ImageError::coding("a BMP file that contains a JPEG".to_owned())),
        5 => Err(ImageError::coding("a BMP file that contains a PNG".to_owned())),
        other => Err(ImageError::coding(format!("a BMP file with compression {other}"))),
    }
}
