//! Decodes still WebP images with libwebp, which takes half of the time of the decoder in Rust and can reduce the image
//! while decoding (ADR 0006). The decoder in Rust reads animations, and it reports what is wrong with a file that
//! libwebp rejects.
//!
//! The crate contains only the C functions, so this file has to call them directly. Each call gets a buffer and its
//! length and keeps neither of them.
#![expect(unsafe_code, reason = "ADR 0006")]

use fast_image_resize::images::TypedImage;
use image::{DynamicImage, RgbImage, RgbaImage};
use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPBitstreamFeatures, WebPDecode, WebPDecoderConfig, WebPFreeDecBuffer,
    WebPGetFeatures, WebPRGBABuffer,
};

use super::reduced::{Reduced, to_high_bytes};

/// Decodes every pixel. Returns `None` if the file is animated, truncated or damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<DynamicImage> {
    let config = read_config(bytes)?;
    let (width, height) = size(&config.input)?;
    if config.input.has_alpha == 0 {
        RgbImage::from_raw(width, height, decode_pixels::<3>(bytes, config, width, height)?)
            .map(DynamicImage::ImageRgb8)
    } else {
        RgbaImage::from_raw(width, height, decode_pixels::<4>(bytes, config, width, height)?)
            .map(DynamicImage::ImageRgba8)
    }
}

/// Decodes the whole image to fewer pixels; each is the mean of the pixels that it replaces. Also returns `None` if the
/// image has an alpha channel, because the means would include the colours of invisible pixels.
pub(super) fn decode_reduced(bytes: &[u8], width: u32, height: u32) -> Option<Reduced> {
    let mut config = read_config(bytes).filter(|config| config.input.has_alpha == 0)?;
    config.options.use_scaling = 1;
    config.options.scaled_width = i32::try_from(width).ok()?;
    config.options.scaled_height = i32::try_from(height).ok()?;
    let pixels = decode_pixels::<3>(bytes, config, width, height)?;
    TypedImage::from_pixels(width, height, pixels.as_chunks::<3>().0.iter().copied().map(to_high_bytes).collect()).ok()
}

/// Returns whether the image is lossless. A lossless image is decoded whole before it is reduced. Returns `None` if the
/// image cannot be reduced.
pub(super) fn is_lossless(bytes: &[u8]) -> Option<bool> {
    const LOSSY: i32 = 1;
    read_config(bytes).filter(|config| config.input.has_alpha == 0).map(|config| config.input.format != LOSSY)
}

/// Returns a decoder configuration with the facts of the file's header, or `None` if the image is animated or invalid.
fn read_config(bytes: &[u8]) -> Option<WebPDecoderConfig> {
    let mut config = WebPDecoderConfig::new().ok()?;
    // SAFETY: pointer and length belong to one slice, and `config.input` is a valid struct that this function owns.
    let status = unsafe { WebPGetFeatures(bytes.as_ptr(), bytes.len(), &raw mut config.input) };
    (status == VP8StatusCode::VP8_STATUS_OK && config.input.has_animation == 0).then_some(config)
}

fn size(features: &WebPBitstreamFeatures) -> Option<(u32, u32)> {
    Some((u32::try_from(features.width).ok()?, u32::try_from(features.height).ok()?))
}

/// Decodes the pixels, row by row, with `CHANNELS` bytes each.
fn decode_pixels<const CHANNELS: u32>(
    bytes: &[u8],
    config: WebPDecoderConfig,
    width: u32,
    height: u32,
) -> Option<Vec<u8>> {
    let mut config = config;
    let stride = width.checked_mul(CHANNELS)?;
    let mut pixels = vec![0; usize::try_from(u64::from(stride) * u64::from(height)).ok()?];
    let buffer = WebPRGBABuffer { rgba: pixels.as_mut_ptr(), stride: i32::try_from(stride).ok()?, size: pixels.len() };
    config.output.colorspace = if CHANNELS == 3 { WEBP_CSP_MODE::MODE_RGB } else { WEBP_CSP_MODE::MODE_RGBA };
    config.output.is_external_memory = 1;
    config.output.u.RGBA = buffer;
    // SAFETY: pointer and length belong to one slice, and so do those of the buffer, which outlives the call. libwebp
    // itself checks that the image fits into the size and stride of the buffer. With external memory, only libwebp's
    // own allocations have to be freed, which the second call does.
    let status = unsafe {
        let status = WebPDecode(bytes.as_ptr(), bytes.len(), &raw mut config);
        WebPFreeDecBuffer(&raw mut config.output);
        status
    };
    (status == VP8StatusCode::VP8_STATUS_OK).then_some(pixels)
}
