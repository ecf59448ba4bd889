//! Decodes the whole image with its orientation applied.

use bytes::Bytes;

use super::decoded_image;
use crate::domain::ImageMeta;
use crate::imaging::{ImageError, Limits};

/// All pixels of one file: upright, in RGB, with transparent pixels over white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UprightImage {
    /// The metadata of the original file.
    pub meta: ImageMeta,
    /// `width * height * 3` bytes, row by row.
    pub rgb: Bytes,
}

/// Decodes the image at full size. [`prepare`](super::prepare()) makes the input of the model from the same pixels.
///
/// # Errors
/// Returns an [`ImageError`] that says what is wrong with the image. A retry does not help.
pub fn decode_upright(bytes: &[u8], limits: &Limits) -> Result<UprightImage, ImageError> {
    let (upright, meta) = decoded_image::upright(bytes, limits)?;
    Ok(UprightImage { meta, rgb: Bytes::from(upright.into_raw()) })
}
