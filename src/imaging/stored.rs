//! A file decoded: every pixel, or no more than what is made of it takes.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::reduced::{self, Reduced, Scale};
use super::{
    Decode, ImageError, Limits, Preprocessing, Resize, decode::decode, flatten::over_white, read_header, thumbnail,
};
use crate::domain::{ImageFormat, ImageMeta};

/// A picture as it is stored: not yet upright.
pub(super) struct Stored {
    pub(super) pixels: Pixels,
    pub(super) meta: ImageMeta,
    pub(super) orientation: Orientation,
}

/// The pixels of a picture in RGB.
pub(super) enum Pixels {
    All(RgbImage),
    /// Fewer. `extent` is how far the picture reaches across and down in them: the last ones may lie beyond it in part.
    Reduced {
        picture: Reduced,
        extent: (f64, f64),
    },
}

/// What will be made of a picture, and so how many pixels it must have.
#[derive(Clone, Copy, Default)]
pub(super) struct Least {
    pub(super) model: Option<Preprocessing>,
    pub(super) thumbnail: bool,
}

impl Stored {
    /// Where `how` allows it, no larger than what will be made of it takes.
    pub(super) fn decode(bytes: &[u8], limits: &Limits, least: Least, how: Decode) -> Result<Self, ImageError> {
        let meta = read_header(bytes, limits)?.meta;
        let orientation = orientation_of(&meta);
        let scale = if how == Decode::Fast { least.scale(&meta) } else { None };
        if let Some((scale, picture)) = scale.and_then(|scale| Some((scale, reduced::decode(bytes, scale)?))) {
            let (width, height) = as_stored(&meta);
            let pixels = Pixels::Reduced { picture, extent: (scale.extent(width), scale.extent(height)) };
            return Ok(Self { pixels, meta, orientation });
        }
        Ok(Self { pixels: Pixels::All(all_pixels(bytes, &meta, limits)?), meta, orientation })
    }

    /// Width and height by the header, as the picture is stored.
    pub(super) fn size(&self) -> (u32, u32) {
        as_stored(&self.meta)
    }

    pub(super) fn corrupt(&self, reason: String) -> ImageError {
        ImageError::corrupt(self.meta.format, reason)
    }
}

/// Every pixel, in RGB, as it is stored.
fn all_pixels(bytes: &[u8], meta: &ImageMeta, limits: &Limits) -> Result<RgbImage, ImageError> {
    let picture = over_white(decode(bytes, meta, limits)?);
    let (promised, real) = (as_stored(meta), picture.dimensions());
    if real == promised {
        return Ok(picture);
    }
    let reason = format!("{} x {} pixels where its header says {} x {}", real.0, real.1, promised.0, promised.1);
    Err(ImageError::corrupt(meta.format, reason))
}

/// Every pixel, in RGB, upright.
pub(super) fn upright(bytes: &[u8], limits: &Limits) -> Result<(RgbImage, ImageMeta), ImageError> {
    let meta = read_header(bytes, limits)?.meta;
    let mut picture = DynamicImage::ImageRgb8(all_pixels(bytes, &meta, limits)?);
    picture.apply_orientation(orientation_of(&meta));
    Ok((picture.into_rgb8(), meta))
}

fn orientation_of(meta: &ImageMeta) -> Orientation {
    Orientation::from_exif(meta.orientation).unwrap_or(Orientation::NoTransforms)
}

fn as_stored(meta: &ImageMeta) -> (u32, u32) {
    if meta.orientation < 5 { (meta.width, meta.height) } else { (meta.height, meta.width) }
}

impl Least {
    /// The least scale from which all can be made as well as from all pixels.
    fn scale(self, meta: &ImageMeta) -> Option<Scale> {
        let (shortest, longest) = (meta.width.min(meta.height), meta.width.max(meta.height));
        // Of strips only a part is resized, pixel by pixel.
        if meta.format != ImageFormat::Jpeg || longest / shortest >= 8 {
            return None;
        }
        Scale::ALL.into_iter().find(|scale| {
            let model = self.model.is_none_or(|model| match model.resize {
                Resize::Crop => scale.serves(shortest, model.size),
                Resize::Pad(_) => scale.serves(longest, model.size),
            });
            model && (!self.thumbnail || scale.side(longest) >= thumbnail::THUMBNAIL_SIDE)
        })
    }
}

/// A picture as its decoder would have given it.
#[cfg(test)]
pub(super) fn whole(picture: &RgbImage, orientation: Orientation) -> Stored {
    let (width, height) = match orientation.to_exif() {
        1..5 => picture.dimensions(),
        _ => (picture.height(), picture.width()),
    };
    let meta = ImageMeta { format: ImageFormat::Png, width, height, frames: 1, orientation: orientation.to_exif() };
    Stored { pixels: Pixels::All(picture.clone()), meta, orientation }
}
