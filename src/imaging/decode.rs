//! Decodes one file to pixels in the stored orientation, with alpha.

use std::io::{Cursor, ErrorKind};

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::error::ImageError as LibraryError;
use image::{DynamicImage, ImageDecoder};

use super::{ImageError, Limits, avif, heic, jpeg, jxl, png, raw, repair, tiff, webp};
use crate::domain::{ImageFormat, ImageMeta};

/// Decodes the first frame. The header was already checked against `limits`; here they limit the memory that a decoder
/// allocates in addition.
pub(super) fn decode(bytes: &[u8], meta: &ImageMeta, limits: &Limits) -> Result<DynamicImage, ImageError> {
    if is_shorter_than_declared(bytes, meta.format) {
        return Err(ImageError::truncated(meta.format));
    }
    let bytes = &*repair::before(bytes, meta);
    decode_as_is(bytes, meta, limits).or_else(|error| {
        let cut = matches!(error, ImageError::Truncated { .. });
        let repaired = repair::after(bytes, meta.format, cut).ok_or_else(|| error.clone())?;
        decode_as_is(&repaired, meta, limits).map_err(|_| error)
    })
}

fn decode_as_is(bytes: &[u8], meta: &ImageMeta, limits: &Limits) -> Result<DynamicImage, ImageError> {
    let format = meta.format;
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.max_decode_bytes);
    let input = Cursor::new(bytes);
    let decoded = match format {
        ImageFormat::Jpeg => return jpeg::decode(bytes),
        ImageFormat::Png => return png::decode(bytes).map(DynamicImage::ImageRgb8),
        ImageFormat::Webp => match webp::decode(bytes) {
            Some(image) => return Ok(image),
            None => WebPDecoder::new(input).and_then(|it| pixels(it, allowed)),
        },
        ImageFormat::Gif => GifDecoder::new(input).and_then(|it| pixels(it, allowed)),
        ImageFormat::Bmp => BmpDecoder::new(input).and_then(|it| pixels(it, allowed)),
        ImageFormat::Raw => return jpeg::decode(raw::preview(bytes)?.jpeg),
        ImageFormat::Tiff => return tiff::decode(bytes).map(DynamicImage::ImageRgb8),
        ImageFormat::Heic => return heic::decode(bytes).map(DynamicImage::ImageRgb8),
        ImageFormat::Avif => return avif::decode(bytes).map(DynamicImage::ImageRgb8),
        ImageFormat::Jxl => return jxl::decode(bytes).map(DynamicImage::ImageRgb8),
    };
    decoded.map_err(|error| explain(&error, meta))
}

/// Returns whether the file is shorter than its WebP header declares. The check is needed because the missing part can
/// be only the block with the orientation, and because the decoder reports missing bytes as various other errors. One
/// missing byte is accepted: some writers omit the padding of the last chunk.
fn is_shorter_than_declared(bytes: &[u8], format: ImageFormat) -> bool {
    let declared = bytes.get(4..8).and_then(|it| it.try_into().ok()).map_or(0, u32::from_le_bytes);
    format == ImageFormat::Webp && (bytes.len() as u64) + 1 < u64::from(declared) + 8
}

fn pixels(mut decoder: impl ImageDecoder, allowed: image::Limits) -> Result<DynamicImage, LibraryError> {
    decoder.set_limits(allowed)?;
    DynamicImage::from_decoder(decoder)
}

fn explain(error: &LibraryError, meta: &ImageMeta) -> ImageError {
    if ends_early(error) {
        return ImageError::truncated(meta.format);
    }
    match error {
        LibraryError::Limits(_) => ImageError::TooManyPixels {
            width: meta.width,
            height: meta.height,
            limit: "the decoder needs more memory than IMAGE_MAX_DECODE_MB allows".to_owned(),
        },
        other => ImageError::corrupt(meta.format, other.to_string()),
    }
}

/// Returns whether any error of the chain is an unexpected end of file. Decoders wrap it in their own error types; some
/// only mention it in the message.
fn ends_early(error: &LibraryError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if inner.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == ErrorKind::UnexpectedEof)
            || inner.to_string().eq_ignore_ascii_case("unexpected end of file")
        {
            return true;
        }
        source = inner.source();
    }
    false
}
