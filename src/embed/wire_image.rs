//! Encodes prepared images for requests: PNG in base64, inside a JSON body. Lossless, so that `local` and `clip` with
//! the same model have the same space; the measurements are in `zarf/adr/0004-images-on-the-wire.md`.

use base64_simd::STANDARD;
use bytes::Bytes;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::EmbedError;
use crate::imaging::PreparedImage;

/// Maximum bytes of a request body, unless a single image is larger.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// The encoding of an image in JSON. Some services refuse the wrong encoding, others read it as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageEncoding {
    /// `data:image/png;base64,…`
    DataUri,
    /// Base64 without a prefix.
    Bare,
}

impl ImageEncoding {
    fn prefix(self) -> &'static str {
        match self {
            Self::DataUri => "data:image/png;base64,",
            Self::Bare => "",
        }
    }

    /// Encodes an image as the string that represents it in JSON.
    pub(super) fn text(self, image: &PreparedImage) -> Result<String, EmbedError> {
        let mut text = self.prefix().to_owned();
        STANDARD.encode_append(png(image)?, &mut text);
        Ok(text)
    }
}

/// Builds the body from `before`, the images as comma-separated strings, and `after`. Encodes on a blocking thread.
///
/// # Errors
/// [`EmbedError::Rejected`] if the number of bytes of an image does not match its size.
pub(super) async fn body(
    images: Vec<PreparedImage>,
    encoding: ImageEncoding,
    before: String,
    after: &'static str,
) -> Result<Bytes, EmbedError> {
    let encode = move || {
        let mut body = before;
        body.reserve(images.iter().map(|image| max_encoded_len(image.size)).sum());
        for (place, image) in images.iter().enumerate() {
            // No character of base64 or of the prefix needs an escape in JSON.
            body.push_str(if place == 0 { "\"" } else { ",\"" });
            body.push_str(encoding.prefix());
            STANDARD.encode_append(png(image)?, &mut body);
            body.push('"');
        }
        body.push_str(after);
        Ok(Bytes::from(body))
    };
    let encoded = tokio::task::spawn_blocking(encode).await;
    encoded.map_err(|panic| EmbedError::Rejected(format!("the PNG encoder failed: {panic}")))?
}

/// Encodes the image as PNG.
fn png(image: &PreparedImage) -> Result<Vec<u8>, EmbedError> {
    let side = image.size as usize;
    if side == 0 || image.rgb.len() != side * side * 3 {
        let got = image.rgb.len();
        return Err(EmbedError::Rejected(format!(
            "the image has {got} bytes; {side} x {side} pixels need {}",
            side * side * 3
        )));
    }
    let mut png = Vec::with_capacity(image.rgb.len() / 2);
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Paeth)
        .write_image(&image.rgb, image.size, image.size, ExtendedColorType::Rgb8)
        .map_err(|error| EmbedError::Rejected(format!("the image cannot be encoded as PNG: {error}")))?;
    Ok(png)
}

/// Upper bound of the length of an image's string: noise does not compress, and base64 makes four bytes of three.
fn max_encoded_len(size: u32) -> usize {
    let side = size as usize;
    let png = side * side * 3 + side * side / 8 + 1024;
    png.div_ceil(3) * 4 + 32
}

/// Maximum number of images of this size in a body of [`MAX_BODY_BYTES`].
pub(super) fn max_images(size: u32) -> usize {
    (MAX_BODY_BYTES / max_encoded_len(size)).max(1)
}

#[cfg(test)]
#[path = "wire_image_tests.rs"]
mod tests;
