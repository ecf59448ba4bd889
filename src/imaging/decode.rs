//! One file to pixels, as they are stored: not yet upright, alpha still there.

use std::io::{Cursor, ErrorKind};

use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::error::ImageError as Foreign;
use image::{DynamicImage, ImageDecoder};

use super::{ImageError, Limits, jpeg, mend, png, webp};
use crate::domain::{ImageFormat, ImageMeta};

/// Decodes the first frame. `limits` were held against the header; here they bound what else a decoder allocates.
pub(super) fn decode(bytes: &[u8], meta: &ImageMeta, limits: &Limits) -> Result<DynamicImage, ImageError> {
    if lacks_bytes(bytes, meta.format) {
        return Err(ImageError::truncated(meta.format));
    }
    let bytes = &*mend::before(bytes, meta);
    plain(bytes, meta, limits).or_else(|error| {
        let cut = matches!(error, ImageError::Truncated { .. });
        let mended = mend::after(bytes, meta.format, cut).ok_or_else(|| error.clone())?;
        plain(&mended, meta, limits).map_err(|_| error)
    })
}

fn plain(bytes: &[u8], meta: &ImageMeta, limits: &Limits) -> Result<DynamicImage, ImageError> {
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
    };
    decoded.map_err(|error| explain(&error, meta))
}

/// A WebP says in its first bytes how long it is. What is missing may be no more than the block that says which way up
/// it is, and its decoder takes it for all kinds of other faults. Some writers leave out the last chunk's padding.
fn lacks_bytes(bytes: &[u8], format: ImageFormat) -> bool {
    let promised = bytes.get(4..8).and_then(|it| it.try_into().ok()).map_or(0, u32::from_le_bytes);
    format == ImageFormat::Webp && (bytes.len() as u64) + 1 < u64::from(promised) + 8
}

fn pixels(mut decoder: impl ImageDecoder, allowed: image::Limits) -> Result<DynamicImage, Foreign> {
    decoder.set_limits(allowed)?;
    DynamicImage::from_decoder(decoder)
}

fn explain(error: &Foreign, meta: &ImageMeta) -> ImageError {
    if ends_early(error) {
        return ImageError::truncated(meta.format);
    }
    match error {
        Foreign::Limits(_) => ImageError::TooManyPixels {
            width: meta.width,
            height: meta.height,
            limit: "the decoder needs more memory (IMAGE_MAX_DECODE_MB)".to_owned(),
        },
        other => ImageError::corrupt(meta.format, other.to_string()),
    }
}

/// Whether any error of the chain is an unexpected end. Decoders wrap it in their own types, some only in words.
fn ends_early(error: &Foreign) -> bool {
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
