//! The whole way from a file's bytes to the model's input.

use bytes::Bytes;
use image::metadata::Orientation;

use super::{
    ImageError, Limits, Prepared, PreparedImage, Preprocessing, decode::decode, flatten::over_white, read_header,
    resize,
};

/// Header, limits, decode, alpha over white, resize, orientation.
///
/// # Errors
/// [`ImageError`]: what is wrong with the picture. No retry helps.
pub fn prepare(bytes: &[u8], limits: &Limits, preprocessing: &Preprocessing) -> Result<Prepared, ImageError> {
    let meta = read_header(bytes, limits)?.meta;
    let picture = over_white(decode(bytes, &meta, limits)?);
    let orientation = Orientation::from_exif(meta.orientation).unwrap_or(Orientation::NoTransforms);
    let (width, height) = if meta.orientation < 5 { (meta.width, meta.height) } else { (meta.height, meta.width) };
    if picture.dimensions() != (width, height) {
        let (real_width, real_height) = picture.dimensions();
        let reason = format!("{real_width} x {real_height} pixels where its header says {width} x {height}");
        return Err(ImageError::corrupt(meta.format, reason));
    }
    let square = resize::square(&picture, orientation, preprocessing.size)
        .map_err(|reason| ImageError::corrupt(meta.format, reason))?;
    let image = PreparedImage { size: preprocessing.size, rgb: Bytes::from(square.into_raw()) };
    Ok(Prepared { image, meta })
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
