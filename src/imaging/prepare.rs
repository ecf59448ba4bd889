//! The whole way from a file's bytes to the model's input.

use bytes::Bytes;
use image::RgbImage;
use image::metadata::Orientation;

use super::{
    ImageError, Limits, Prepared, PreparedImage, Preprocessing, decode::decode, flatten::over_white, read_header,
    resize, thumbnail,
};
use crate::domain::ImageMeta;

/// Header, limits, decode, alpha over white, resize, orientation.
///
/// # Errors
/// [`ImageError`]: what is wrong with the picture. No retry helps.
pub fn prepare(bytes: &[u8], limits: &Limits, preprocessing: &Preprocessing) -> Result<Prepared, ImageError> {
    all(bytes, limits, *preprocessing, false)
}

/// The same, and the thumbnail out of the same decode.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with_thumbnail(
    bytes: &[u8],
    limits: &Limits,
    preprocessing: &Preprocessing,
) -> Result<Prepared, ImageError> {
    all(bytes, limits, *preprocessing, true)
}

fn all(
    bytes: &[u8],
    limits: &Limits,
    preprocessing: Preprocessing,
    with_thumbnail: bool,
) -> Result<Prepared, ImageError> {
    let (picture, meta) = decoded(bytes, limits)?;
    let orientation = Orientation::from_exif(meta.orientation).unwrap_or(Orientation::NoTransforms);
    let corrupt = |reason| ImageError::corrupt(meta.format, reason);
    let square = resize::square(&picture, orientation, preprocessing).map_err(corrupt)?;
    let image = PreparedImage { size: preprocessing.size, rgb: Bytes::from(square.into_raw()) };
    let thumbnail =
        if with_thumbnail { Some(thumbnail::of_decoded(&picture, orientation).map_err(corrupt)?) } else { None };
    Ok(Prepared { image, meta, thumbnail })
}

/// The picture in RGB as it is stored: not yet upright.
pub(super) fn decoded(bytes: &[u8], limits: &Limits) -> Result<(RgbImage, ImageMeta), ImageError> {
    let meta = read_header(bytes, limits)?.meta;
    let picture = over_white(decode(bytes, &meta, limits)?);
    let (width, height) = if meta.orientation < 5 { (meta.width, meta.height) } else { (meta.height, meta.width) };
    if picture.dimensions() != (width, height) {
        let (real_width, real_height) = picture.dimensions();
        let reason = format!("{real_width} x {real_height} pixels where its header says {width} x {height}");
        return Err(ImageError::corrupt(meta.format, reason));
    }
    Ok((picture, meta))
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
