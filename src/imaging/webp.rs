//! Still WebP images by libwebp, in half of the time that the decoder in Rust takes, and reduced while decoding (ADR 0006).
//! The one in Rust reads animations, and says what is wrong with what libwebp refuses.
//!
//! The crate is the C functions alone, so this file may call them: each takes a buffer and its length, keeps neither, and is
//! given nothing else.
#![expect(unsafe_code, reason = "ADR 0006")]

use fast_image_resize::images::TypedImage;
use image::{DynamicImage, RgbImage, RgbaImage};
use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPBitstreamFeatures, WebPDecode, WebPDecoderConfig, WebPFreeDecBuffer,
    WebPGetFeatures, WebPRGBABuffer,
};

use super::reduced::{Reduced, upper};

/// Every pixel. `None` where it is animated, cut or broken.
pub(super) fn decode(bytes: &[u8]) -> Option<DynamicImage> {
    let config = opened(bytes)?;
    let (width, height) = size(&config.input)?;
    if config.input.has_alpha == 0 {
        RgbImage::from_raw(width, height, filled::<3>(bytes, config, width, height)?).map(DynamicImage::ImageRgb8)
    } else {
        RgbaImage::from_raw(width, height, filled::<4>(bytes, config, width, height)?).map(DynamicImage::ImageRgba8)
    }
}

/// The whole image in fewer pixels, each the mean of those that it stands for. `None` also where something is transparent:
/// what is invisible would show in the means.
pub(super) fn decode_reduced(bytes: &[u8], width: u32, height: u32) -> Option<Reduced> {
    let mut config = opened(bytes).filter(|config| config.input.has_alpha == 0)?;
    config.options.use_scaling = 1;
    config.options.scaled_width = i32::try_from(width).ok()?;
    config.options.scaled_height = i32::try_from(height).ok()?;
    let pixels = filled::<3>(bytes, config, width, height)?;
    TypedImage::from_pixels(width, height, pixels.as_chunks::<3>().0.iter().copied().map(upper).collect()).ok()
}

/// Whether it is lossless and so decoded whole before it is reduced. `None` if it cannot be reduced.
pub(super) fn is_lossless(bytes: &[u8]) -> Option<bool> {
    const LOSSY: i32 = 1;
    opened(bytes).filter(|config| config.input.has_alpha == 0).map(|config| config.input.format != LOSSY)
}

/// A decoder's settings with what the file's header says, for a image that stands still.
fn opened(bytes: &[u8]) -> Option<WebPDecoderConfig> {
    let mut config = WebPDecoderConfig::new().ok()?;
    // SAFETY: pointer and length are of one slice; the features are ours.
    let status = unsafe { WebPGetFeatures(bytes.as_ptr(), bytes.len(), &raw mut config.input) };
    (status == VP8StatusCode::VP8_STATUS_OK && config.input.has_animation == 0).then_some(config)
}

fn size(features: &WebPBitstreamFeatures) -> Option<(u32, u32)> {
    Some((u32::try_from(features.width).ok()?, u32::try_from(features.height).ok()?))
}

/// The pixels, row by row, `CHANNELS` bytes each.
fn filled<const CHANNELS: u32>(bytes: &[u8], config: WebPDecoderConfig, width: u32, height: u32) -> Option<Vec<u8>> {
    let mut config = config;
    let stride = width.checked_mul(CHANNELS)?;
    let mut pixels = vec![0; usize::try_from(u64::from(stride) * u64::from(height)).ok()?];
    let buffer = WebPRGBABuffer { rgba: pixels.as_mut_ptr(), stride: i32::try_from(stride).ok()?, size: pixels.len() };
    config.output.colorspace = if CHANNELS == 3 { WEBP_CSP_MODE::MODE_RGB } else { WEBP_CSP_MODE::MODE_RGBA };
    config.output.is_external_memory = 1;
    config.output.u.RGBA = buffer;
    // SAFETY: pointer and length are of one slice, and so are those of the buffer, which outlives the call. libwebp checks
    // for itself that the image fits into the buffer's size and stride. With external memory there is nothing to free but
    // what it allocated beside it, which the second call does.
    let status = unsafe {
        let status = WebPDecode(bytes.as_ptr(), bytes.len(), &raw mut config);
        WebPFreeDecBuffer(&raw mut config.output);
        status
    };
    (status == VP8StatusCode::VP8_STATUS_OK).then_some(pixels)
}
