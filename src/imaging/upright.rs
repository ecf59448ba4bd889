//! The whole image as a person sees it.

use bytes::Bytes;

use super::{ImageError, Limits, stored};
use crate::domain::ImageMeta;

/// All pixels of one file: upright, in RGB, what is transparent over white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UprightImage {
    /// Of the original.
    pub meta: ImageMeta,
    /// `width * height * 3` bytes, row by row.
    pub rgb: Bytes,
}

/// What [`prepare`](super::prepare()) makes the model's input of, at its full size.
///
/// # Errors
/// [`ImageError`]: what is wrong with the image. No retry helps.
pub fn decode_upright(bytes: &[u8], limits: &Limits) -> Result<UprightImage, ImageError> {
    let (upright, meta) = stored::upright(bytes, limits)?;
    Ok(UprightImage { meta, rgb: Bytes::from(upright.into_raw()) })
}
