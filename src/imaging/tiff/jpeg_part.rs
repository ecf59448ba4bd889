//! Decodes a strip or tile of a TIFF page that is a JPEG.

use image::RgbImage;

use super::layout::{Layout, corrupt};
use crate::domain::ImageFormat;
use crate::imaging::{ImageError, jpeg};

/// An Adobe segment that says that the components are RGB.
const IS_RGB: [u8; 16] = *b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0";

/// Decodes one part. The size of the JPEG is checked before any of it is decoded.
pub(super) fn decode(
    bytes: &[u8],
    layout: &Layout<'_>,
    part: usize,
    (width, height): (usize, usize),
) -> Result<RgbImage, ImageError> {
    if layout.is_planar || layout.bits != 8 || !layout.colours.can_be_jpeg() {
        return Err(ImageError::coding("a TIFF file with JPEG compression of these colours".to_owned()));
    }
    let (offset, length) = layout.parts[part];
    let range = usize::try_from(offset).ok().zip(usize::try_from(offset.saturating_add(length)).ok());
    let data = range.and_then(|(from, until)| bytes.get(from..until));
    let data = data.ok_or_else(|| ImageError::truncated(ImageFormat::Tiff))?;
    let jpeg = join(layout.jpeg_tables, data, layout.colours.is_rgb());
    let coding = jpeg::coding::read(&jpeg).ok_or_else(|| corrupt("a part of it is not a JPEG that can be decoded"))?;
    let (declared_width, declared_height) = (coding.width as usize, coding.height as usize);
    let is_expected = (width..=layout.part.0 as usize).contains(&declared_width)
        && (height..=layout.part.1 as usize).contains(&declared_height);
    if !is_expected {
        return Err(corrupt(format!(
            "a part of {width} x {height} pixels is a JPEG of {declared_width} x {declared_height} pixels"
        )));
    }
    let image = jpeg::decode(&jpeg).map_err(|error| match error {
        ImageError::Truncated { .. } => ImageError::truncated(ImageFormat::Tiff),
        other => corrupt(other.to_string()),
    })?;
    let image = image.into_rgb8();
    if (image.width() as usize, image.height() as usize) == (declared_width, declared_height) {
        Ok(image)
    } else {
        Err(corrupt("a part of it has another size than its header says"))
    }
}

/// Returns the complete JPEG: the tables that all parts share, without their end marker, and the part without its start
/// marker.
fn join(tables: Option<&[u8]>, data: &[u8], is_rgb: bool) -> Vec<u8> {
    let tables = tables.map_or(&[][..], |tables| tables.strip_suffix(&jpeg::END).unwrap_or(tables));
    let mut jpeg = Vec::with_capacity(tables.len() + data.len() + 18);
    jpeg.extend_from_slice(&[0xFF, 0xD8]);
    if is_rgb {
        jpeg.extend_from_slice(&IS_RGB);
    }
    jpeg.extend_from_slice(tables.get(2..).unwrap_or_default());
    jpeg.extend_from_slice(data.strip_prefix(&[0xFF, 0xD8]).unwrap_or(data));
    jpeg
}
