//! The whole picture as a person sees it.

use bytes::Bytes;

use super::{ImageError, Limits, stored};
use crate::domain::ImageMeta;

/// All pixels of one file: upright, in RGB, what is transparent over white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Of the original.
    pub meta: ImageMeta,
    /// `width * height * 3` bytes, row by row.
    pub rgb: Bytes,
}

/// What [`prepare`](super::prepare()) makes the model's input of, at its full size.
///
/// # Errors
/// [`ImageError`]: what is wrong with the picture. No retry helps.
pub fn picture(bytes: &[u8], limits: &Limits) -> Result<Picture, ImageError> {
    let (upright, meta) = stored::upright(bytes, limits)?;
    Ok(Picture { meta, rgb: Bytes::from(upright.into_raw()) })
}
