//! Decodes the JPEG codings that zune-jpeg rejects or decodes to a wrong image: baseline with several scans, and
//! unusual sampling. It uses another decoder (jpeg-decoder).

use image::RgbImage;
use jpeg_decoder::{Decoder, Error, PixelFormat};

use super::{END, Ending, ending, tidy};
use crate::domain::ImageFormat;
use crate::imaging::ImageError;
use crate::imaging::facts::walk::jpeg_segment;

/// Decodes to RGB. The decoder reads missing data as zeros, so the file is decoded a second time with more data at the
/// end of each scan: the file is complete only if both results are equal.
pub(crate) fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let with_end;
    let bytes = match ending(bytes) {
        Ending::Cut => return Err(ImageError::truncated(ImageFormat::Jpeg)),
        Ending::Marked => bytes,
        Ending::Unmarked => {
            with_end = [bytes, &END].concat();
            &with_end
        }
    };
    let tidied;
    let mut bytes = bytes;
    let mut image = decode_once(bytes);
    if image.is_err() {
        tidied = tidy(bytes);
        bytes = &tidied;
        image = decode_once(bytes);
    }
    let image = image?;
    match decode_once(&extended(bytes)) {
        Ok(other) if other == image => Ok(image),
        _ => Err(ImageError::truncated(ImageFormat::Jpeg)),
    }
}

fn decode_once(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let mut decoder = Decoder::new(bytes);
    let pixels = decoder.decode().map_err(explain)?;
    let corrupt = |reason| ImageError::corrupt(ImageFormat::Jpeg, reason);
    let info = decoder.info().ok_or_else(|| corrupt("it has no frame header"))?;
    let rgb = match info.pixel_format {
        PixelFormat::RGB24 => pixels,
        PixelFormat::L8 => pixels.iter().flat_map(|&gray| [gray; 3]).collect(),
        PixelFormat::CMYK32 => pixels.as_chunks::<4>().0.iter().flat_map(|&inks| cmyk_to_rgb(inks)).collect(),
        PixelFormat::L16 => return Err(ImageError::coding("a JPEG with 16 bits per sample".to_owned())),
    };
    RgbImage::from_raw(info.width.into(), info.height.into(), rgb)
        .ok_or_else(|| corrupt("its size differs from the size in its header"))
}

/// Converts CMYK without a profile to RGB, as Pillow does.
pub(crate) fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    [cyan, magenta, yellow].map(|ink| {
        let product = u32::from(u8::MAX - ink) * u32::from(u8::MAX - black);
        u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
    })
}

/// Returns the file with additional data at the end of each scan.
fn extended(bytes: &[u8]) -> Vec<u8> {
    let mut extended = Vec::with_capacity(bytes.len() + 1024);
    let (mut at, mut copied, mut in_scan) = (2, 0, false);
    while let Some(segment) = jpeg_segment(bytes, at) {
        at = segment.end;
        let is_restart = matches!(segment.marker, 0xD0..=0xD7);
        if in_scan && !is_restart {
            let header = if segment.marker == 0xD9 { 2 } else { segment.body.len() + 4 };
            let marker = segment.end.saturating_sub(header);
            // Fill bytes before a marker are part of the marker.
            let fill = bytes[copied..marker].iter().rev().take_while(|&&byte| byte == 0xFF).count();
            extended.extend_from_slice(&bytes[copied..marker - fill]);
            extended.extend_from_slice(&[0x55; 64]);
            copied = marker - fill;
        }
        in_scan = segment.marker == 0xDA || (in_scan && is_restart);
        if segment.marker == 0xD9 {
            break;
        }
    }
    extended.extend_from_slice(&bytes[copied..]);
    extended
}

fn explain(error: Error) -> ImageError {
    match error {
        Error::Io(_) => ImageError::truncated(ImageFormat::Jpeg),
        Error::Unsupported(feature) => ImageError::coding(format!("a JPEG with {feature:?}")),
        // A scan is missing.
        Error::Format(reason) if reason.contains("not all components") => ImageError::truncated(ImageFormat::Jpeg),
        Error::Format(reason) => ImageError::corrupt(ImageFormat::Jpeg, reason),
        Error::Internal(error) => ImageError::corrupt(ImageFormat::Jpeg, error.to_string()),
    }
}
