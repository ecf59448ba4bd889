//! A file decoded: every pixel, or no more than what is made of it takes.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::reduced::{self, Reduced, Scale};
use super::{
    Decode, Header, ImageError, Limits, Preprocessing, Resize, decode::decode, flatten::over_white, header::read_facts,
    jpeg, mend, png, read_header, thumbnail, webp,
};
use crate::domain::{ImageFormat, ImageMeta};

/// A image as it is stored: not yet upright.
pub(super) struct Stored {
    pub(super) pixels: Pixels,
    pub(super) meta: ImageMeta,
    pub(super) orientation: Orientation,
}

/// The pixels of a image in RGB.
pub(super) enum Pixels {
    All(RgbImage),
    /// Fewer. `extent` is how far the image reaches across and down in them: the last ones may lie beyond it in part.
    Reduced {
        image: Reduced,
        extent: (f64, f64),
    },
}

/// What will be made of a image, and so how many pixels it must have.
#[derive(Clone, Copy, Default)]
pub(super) struct Least {
    pub(super) model: Option<Preprocessing>,
    pub(super) thumbnail: bool,
}

impl Stored {
    /// Where `how` allows it, no larger than what will be made of it takes.
    pub(super) fn decode(bytes: &[u8], limits: &Limits, least: Least, how: Decode) -> Result<Self, ImageError> {
        let bytes = &*mend::colour_transform(bytes);
        let header = read_facts(bytes, limits)?;
        least.memory_of(bytes, &header, limits, how)?;
        let meta = header.meta;
        let must_be_reduced = header.decoded_bytes > limits.max_decode_bytes;
        let reduced = if how == Decode::Fast { least.reduced(bytes, &meta, must_be_reduced) } else { None };
        let pixels = match reduced {
            Some(pixels) => pixels,
            None if must_be_reduced => return Err(damaged(bytes, meta.format)),
            None => Pixels::All(all_pixels(bytes, &meta, limits)?),
        };
        Ok(Self { pixels, meta, orientation: orientation_of(&meta) })
    }

    /// Width and height by the header, as the image is stored.
    pub(super) fn size(&self) -> (u32, u32) {
        as_stored(&self.meta)
    }

    pub(super) fn corrupt(&self, reason: String) -> ImageError {
        ImageError::corrupt(self.meta.format, reason)
    }
}

/// What a file is whose header promises that it can be reduced while decoding, if that fails.
fn damaged(bytes: &[u8], format: ImageFormat) -> ImageError {
    match format {
        ImageFormat::Jpeg if matches!(jpeg::ending(bytes), jpeg::Ending::Marked) => {
            ImageError::corrupt(format, "its data does not fit its header")
        }
        ImageFormat::Webp => ImageError::corrupt(format, "its data cannot be decoded"),
        // Only the error is wanted, and so as few pixels as can be had.
        ImageFormat::Png => png::decode_reduced(bytes, 256).err().unwrap_or(ImageError::truncated(format)),
        _ => ImageError::truncated(format),
    }
}

/// Every pixel, in RGB, as it is stored.
fn all_pixels(bytes: &[u8], meta: &ImageMeta, limits: &Limits) -> Result<RgbImage, ImageError> {
    let image = over_white(decode(bytes, meta, limits)?);
    let (promised, real) = (as_stored(meta), image.dimensions());
    if real == promised {
        return Ok(image);
    }
    let reason = format!("{} x {} pixels where its header says {} x {}", real.0, real.1, promised.0, promised.1);
    Err(ImageError::corrupt(meta.format, reason))
}

/// Every pixel, in RGB, upright.
pub(super) fn upright(bytes: &[u8], limits: &Limits) -> Result<(RgbImage, ImageMeta), ImageError> {
    let bytes = &*mend::colour_transform(bytes);
    let meta = read_header(bytes, limits)?.meta;
    let mut image = DynamicImage::ImageRgb8(all_pixels(bytes, &meta, limits)?);
    image.apply_orientation(orientation_of(&meta));
    Ok((image.into_rgb8(), meta))
}

fn orientation_of(meta: &ImageMeta) -> Orientation {
    Orientation::from_exif(meta.orientation).unwrap_or(Orientation::NoTransforms)
}

fn pixels_of(meta: &ImageMeta) -> u64 {
    u64::from(meta.width) * u64::from(meta.height)
}

fn as_stored(meta: &ImageMeta) -> (u32, u32) {
    if meta.orientation < 5 { (meta.width, meta.height) } else { (meta.height, meta.width) }
}

/// Of larger PNG images only the means of squares are kept. Smaller ones are decoded whole, as their embeddings were always
/// made.
const PNG_PIXELS: u64 = 40_000_000;

/// How many pixels a side become one, if only this share of each side must be kept. `None` if all of them must be.
fn times(share: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 2 and 256")]
    (share <= 0.5).then(|| (1.0 / share).clamp(2.0, 256.0) as u32)
}

/// How many times the square's side a reduced image must have, so that nobody can tell by the embedding that it was
/// reduced: measured in ADR 0006, held by `tests/it/parity.rs`.
const MARGIN: f64 = 2.75;

impl Least {
    /// `None` where no decoder reduces this image as far as would pay.
    fn reduced(self, bytes: &[u8], meta: &ImageMeta, must_be_reduced: bool) -> Option<Pixels> {
        let (width, height) = as_stored(meta);
        // Of strips only a part is resized, pixel by pixel.
        if meta.width.max(meta.height) / meta.width.min(meta.height) >= 8 {
            return None;
        }
        let share = self.share(meta);
        match meta.format {
            ImageFormat::Jpeg => {
                let scale = Scale::least_of(share)?;
                let extent = (scale.extent(width), scale.extent(height));
                Some(Pixels::Reduced { image: reduced::decode(bytes, scale)?, extent })
            }
            // To reduce costs more than it saves where little is left out.
            ImageFormat::Webp if share <= 0.5 => {
                let (wide, high) = kept_of(meta, share);
                let image = webp::decode_reduced(bytes, wide, high)?;
                Some(Pixels::Reduced { image, extent: (f64::from(wide), f64::from(high)) })
            }
            ImageFormat::Png if must_be_reduced || pixels_of(meta) > PNG_PIXELS => {
                let times = times(share)?;
                let extent = (f64::from(width) / f64::from(times), f64::from(height) / f64::from(times));
                // The full decoder, or the limit, says what is wrong.
                let image = png::decode_reduced(bytes, times).ok().flatten()?;
                Some(Pixels::Reduced { image, extent })
            }
            ImageFormat::Webp | ImageFormat::Png | ImageFormat::Gif => None,
        }
    }

    /// About how many bytes decoding will allocate: for every pixel if that is allowed, and else for the reduced image.
    ///
    /// # Errors
    /// [`ImageError::TooManyPixels`] if neither is within the limit.
    pub(super) fn memory_of(
        self,
        bytes: &[u8],
        header: &Header,
        limits: &Limits,
        how: Decode,
    ) -> Result<u64, ImageError> {
        if header.decoded_bytes <= limits.max_decode_bytes {
            return Ok(header.decoded_bytes);
        }
        let reduced = if how == Decode::Fast { self.reduced_bytes(bytes, &header.meta) } else { None };
        reduced.filter(|&needed| needed <= limits.max_decode_bytes).ok_or_else(|| header.too_much_memory(limits))
    }

    /// What the reduced image takes; `None` if this file cannot be reduced.
    fn reduced_bytes(self, bytes: &[u8], meta: &ImageMeta) -> Option<u64> {
        /// The three components, and three samples of 16 bits.
        const EACH: u64 = 3 + 6;
        let is_strip = meta.width.max(meta.height) / meta.width.min(meta.height) >= 8;
        let (share, pixels) = (self.share(meta), pixels_of(meta));
        match meta.format {
            _ if is_strip => None,
            ImageFormat::Jpeg => {
                let kept = u64::from(Scale::least_of(share)?.of_eight());
                // The entropy-coded data is copied without its stuffing.
                reduced::reads(bytes).then(|| pixels * EACH * kept * kept / 64 + bytes.len() as u64)
            }
            ImageFormat::Png if png::is_interlaced(bytes) => None,
            ImageFormat::Png => {
                let times = u64::from(times(share)?);
                Some(pixels / (times * times) * EACH + u64::from(meta.width.max(meta.height)) * 64)
            }
            ImageFormat::Webp if share <= 0.5 => {
                let planes = if webp::is_lossless(bytes)? { pixels * 4 } else { 0 };
                let (wide, high) = kept_of(meta, share);
                Some(planes + u64::from(wide) * u64::from(high) * EACH)
            }
            ImageFormat::Webp | ImageFormat::Gif => None,
        }
    }

    /// How much of each side must be kept.
    fn share(self, meta: &ImageMeta) -> f64 {
        let (shortest, longest) = (meta.width.min(meta.height), meta.width.max(meta.height));
        let model = self.model.map_or(0.0, |model| {
            let side = match model.resize {
                Resize::Crop | Resize::CropFloor => shortest,
                Resize::Pad(_) => longest,
            };
            MARGIN * f64::from(model.size) / f64::from(side)
        });
        let thumbnail = if self.thumbnail { f64::from(thumbnail::THUMBNAIL_SIDE) / f64::from(longest) } else { 0.0 };
        model.max(thumbnail)
    }
}

/// Width and height of a WebP image, as it is stored, of which this share of each side is kept.
fn kept_of(meta: &ImageMeta, share: f64) -> (u32, u32) {
    let (width, height) = as_stored(meta);
    (up(f64::from(width) * share), up(f64::from(height) * share))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no more than the side that it is a share of"
)]
fn up(side: f64) -> u32 {
    side.ceil() as u32
}

/// A image as its decoder would have given it.
#[cfg(test)]
pub(super) fn whole(image: &RgbImage, orientation: Orientation) -> Stored {
    let (width, height) = match orientation.to_exif() {
        1..5 => image.dimensions(),
        _ => (image.height(), image.width()),
    };
    let meta = ImageMeta { format: ImageFormat::Png, width, height, frames: 1, orientation: orientation.to_exif() };
    Stored { pixels: Pixels::All(image.clone()), meta, orientation }
}
